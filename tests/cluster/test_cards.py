"""Shares of a GPU and the memory they hold."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cluster.cards import CONTEXT_GIB, MOST_SHARES, gpu_share, memory_cap
from cluster.nodes import NODE_TYPES, NodeType

nodes = st.sampled_from(list(NODE_TYPES.values()))
needs = st.floats(0.01, 200, allow_nan=False)
G6 = NODE_TYPES["g6.xlarge"]


@given(node=nodes, needed=needs, cpus=st.integers(1, 4))
def test_a_share_fits_and_the_next_smaller_one_does_not(node: NodeType, needed: float, cpus: int) -> None:
    assume(needed + CONTEXT_GIB <= node.gpu_memory_gib and cpus <= node.cpus // node.gpus)
    share = gpu_share(needed, node.card, cpus=cpus)
    n = round(1 / share)
    assert n * share <= 1
    assert 1 <= n <= MOST_SHARES
    assert math.isclose(share, 1 / n, abs_tol=1e-4)
    assert n * (needed + CONTEXT_GIB) <= node.gpu_memory_gib
    assert n * cpus <= node.cpus // node.gpus
    one_more_fits = (n + 1) * (needed + CONTEXT_GIB) <= node.gpu_memory_gib
    assert n == MOST_SHARES or not one_more_fits or (n + 1) * cpus > node.cpus // node.gpus


@given(node=nodes, needed=needs, more=st.floats(0, 50))
def test_who_needs_more_memory_gets_no_smaller_share(node: NodeType, needed: float, more: float) -> None:
    assume(needed + more + CONTEXT_GIB <= node.gpu_memory_gib)
    assert gpu_share(needed + more, node.card) >= gpu_share(needed, node.card)


@pytest.mark.parametrize("needed", [22.1, 1e6])
def test_what_does_not_fit_is_refused_with_what_the_node_has(needed: float) -> None:
    with pytest.raises(ValueError, match=r"g6\.xlarge, which has 22 GiB"):
        gpu_share(needed, G6.card)


@pytest.mark.parametrize(("needed", "cpus"), [(0, 1), (-1, 1), (math.nan, 1), (math.inf, 1), (1, 0)])
def test_a_need_is_positive(needed: float, cpus: int) -> None:
    with pytest.raises(ValueError, match="needs memory"):
        gpu_share(needed, G6.card, cpus=cpus)


@given(node=nodes, needed=needs, cpus=st.integers(1, 4))
def test_the_cap_of_a_share_holds_the_trial_and_all_processes_fit(node: NodeType, needed: float, cpus: int) -> None:
    assume(needed + CONTEXT_GIB <= node.gpu_memory_gib and cpus <= node.cpus // node.gpus)
    share = gpu_share(needed, node.card, cpus=cpus)
    capped = memory_cap(share, node.gpu_memory_gib) * node.gpu_memory_gib
    rounding = 1e-4 * node.gpu_memory_gib  # of the share, to Ray's resolution
    assert capped >= needed - rounding
    assert round(1 / share) * (capped + CONTEXT_GIB) <= node.gpu_memory_gib * (1 + 1e-12)


def test_a_share_smaller_than_a_context_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.02 of a GPU of 15\.0 GiB leaves no memory beside a CUDA context"):
        memory_cap(0.02, 15.0)
