"""Text in, token arrays out: what a token is, and the buffer of an Arrow text column."""

from curation.text.tokens import TOKENISER, Tokens, text_buffer, tokenise

__all__ = ["TOKENISER", "Tokens", "text_buffer", "tokenise"]
