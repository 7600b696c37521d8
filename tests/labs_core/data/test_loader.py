from __future__ import annotations

import json
import subprocess
import sys

import torch

from labs_core.data.loader import BatchLoader, EpochSampler, generator


def numbers(count: int, **options) -> BatchLoader:
    return BatchLoader((torch.arange(count), torch.arange(count) * 10), **options)


def test_batches_cover_the_data_in_order_and_the_last_one_holds_the_rest():
    batches = list(numbers(10, batch_size=4))
    assert [x.tolist() for x, _ in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all((y == 10 * x).all() for x, y in batches)
    assert len(numbers(10, batch_size=4)) == 3


def test_without_a_batch_size_a_split_is_one_batch():
    loader = numbers(10, batch_size=None)
    assert len(loader) == 1
    assert [x.tolist() for x, _ in loader] == [list(range(10))]


def test_shuffling_gives_every_example_once_and_keeps_labels_with_them():
    loader = numbers(103, batch_size=10, shuffle=True, seed=0)
    x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert sorted(x.tolist()) == list(range(103))
    assert (y == 10 * x).all()
    assert x.tolist() != list(range(103))


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed: int, epoch: int) -> list[int]:
        loader = numbers(50, batch_size=7, shuffle=True, seed=seed)
        loader.sampler.set_epoch(epoch)
        list(loader)  # iterating before changes nothing
        torch.manual_seed(epoch)  # nor does the global generator
        return torch.cat([x for x, _ in loader]).tolist()

    assert order(0, 3) == order(0, 3)
    different = {tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(different) == 16, "seed 0 epoch 1 is not seed 1 epoch 0"


def test_augmentation_depends_on_seed_epoch_and_batch_alone():
    def noise(x: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        return torch.rand(len(x), generator=random)

    def draw(seed: int, epoch: int) -> list[torch.Tensor]:
        loader = numbers(12, batch_size=4, seed=seed, augment=[noise])
        loader.sampler.set_epoch(epoch)
        return [x for x, _ in loader]

    assert all((a == b).all() for a, b in zip(draw(0, 1), draw(0, 1), strict=True))
    values = {x[0].item() for seed in range(3) for epoch in range(3) for x in draw(seed, epoch)}
    assert len(values) == 27


def test_steps_follow_each_other_and_leave_the_data_alone():
    def double(x: torch.Tensor, _: torch.Generator) -> torch.Tensor:
        return x * 2

    loader = numbers(4, batch_size=4, augment=[double, double])
    assert [x.tolist() for x, _ in loader] == [[0, 4, 8, 12]]
    assert loader.tensors[0].tolist() == [0, 1, 2, 3]


def test_iterating_over_the_sampler_gives_the_same_order():
    sampler = EpochSampler(20, seed=5, shuffle=True)
    assert list(sampler) == sampler.indices().tolist()
    assert len(sampler) == 20


def test_generators_of_different_numbers_differ():
    states = {generator(*key).initial_seed() for key in [(0,), (1,), (0, 1), (1, 0), (0, 0, 1)]}
    assert len(states) == 5


RANK = """
import json, sys, torch
from torch import distributed as dist
from labs_core.data.loader import BatchLoader
file, rank = sys.argv[1:]
dist.init_process_group("gloo", init_method=f"file://{file}", rank=int(rank), world_size=2)
for shuffle in (True, False):
    loader = BatchLoader([torch.arange(11)], 4, seed=1, shuffle=shuffle)
    print(json.dumps([len(loader), torch.cat([x for x, in loader]).tolist()]))
"""


def test_two_processes_share_the_training_examples(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(tmp_path / "meet"), str(rank)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    training, testing = ([json.loads(output[k]) for output in outputs] for k in (0, 1))
    assert [batches for batches, _ in training] == [2, 2]
    assert [len(seen) for _, seen in training] == [6, 6], "as many steps in each process"
    assert {number for _, seen in training for number in seen} == set(range(11))
    assert testing == [[3, list(range(11))]] * 2, "each process tests everything once"
