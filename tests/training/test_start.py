"""Weights that a training starts from are told by what they are."""

import torch

from embodied_gen.training import checkpoint, files
from embodied_gen.training.start import start_from


def test_weights_that_are_written_again_have_the_same_hash_and_others_another(tmp_path):
    """The header of a file lists its notes in another order each time: a run that was resumed looked like another."""
    module = torch.nn.BatchNorm1d(3)  # with a scalar, which counts
    found = set()
    for _ in range(20):
        files.write_tensors(checkpoint.model_path(tmp_path), module.state_dict(), {"a": 1})
        found.add((start_from(module, tmp_path), checkpoint.model_path(tmp_path).read_bytes()))
    assert len({digest for digest, _ in found}) == 1 and len({content for _, content in found}) > 1
    with torch.no_grad():
        module.weight[0] += 1
    files.write_tensors(checkpoint.model_path(tmp_path), module.state_dict(), {"a": 1})
    assert start_from(module, tmp_path) not in {digest for digest, _ in found}
