"""Tests of agent.host.rights."""

from agent.host.rights import CAP_SYS_PTRACE, capabilities


def test_effective_capabilities_are_read_from_a_status_text() -> None:
    """The effective set counts, not the permitted or the bounding one; a text without it grants nothing."""
    text = "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000080004\nCapBnd:\t000001ffffffffff\n"
    assert capabilities(text) == 1 << CAP_SYS_PTRACE | 1 << 2
    assert capabilities("Name:\tx\n") == 0
