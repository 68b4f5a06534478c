"""Shards of an object store are looked into some at a time; what is found and what is raised follows their order."""

import threading
import time

import pytest

from curation.config import Columns, ConfigError
from curation.io import check_columns, each, files
from curation.io.opening_many import AT_ONCE
from curation.plan import Shard


def shards(count: int, folder: str = "memory://many") -> list[Shard]:
    return [Shard(i, f"{folder}/{i:04}.jsonl", "default", f"{i:04}.jsonl") for i in range(count)]


def test_a_slow_store_is_asked_for_several_shards_at_a_time_but_not_for_all():
    inside, most, lock = 0, 0, threading.Lock()

    def look(shard: Shard) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.002)
        with lock:
            inside -= 1
        return shard.index

    assert list(each(look, shards(600))) == list(range(600))
    assert 1 < most <= AT_ONCE
    most = 0
    assert list(each(look, shards(20, "/tmp/many"))) == list(range(20)) and most == 1


def test_the_first_shard_that_is_wrong_is_named_whichever_fails_first():
    looked = []

    def look(shard: Shard) -> None:
        looked.append(shard.index)
        if shard.index in (3, 5):
            time.sleep(0.05 if shard.index == 3 else 0)
            raise ValueError(shard.index)

    for _ in range(5):
        with pytest.raises(ValueError, match="3"):
            list(each(look, shards(5000)))
    assert max(looked) < 1000  # the others are not opened


def test_columns_of_shards_on_a_store_are_checked():
    many = shards(40)
    for shard in many:
        name = "text" if shard.index < 30 else "body"
        with files.atomic(shard.url) as file:
            file.write(f'{{"{name}": "a", "id": "b"}}\n'.encode())
    check_columns(many[:30], Columns())
    with pytest.raises(ConfigError, match=r"0030\.jsonl has no column 'text'.*it has body, id"):
        check_columns(many, Columns())
