from agent.collectors import gpu_health


def test_what_is_expected_stands_beside_what_is_there() -> None:
    """A count alone tells nothing; a rule needs both."""
    names = {m.name for m in gpu_health.Collector.metrics}
    assert {"gpus_present", "gpus_expected", "gpu_nvlink_links_active", "gpu_nvlink_links_expected"} <= names
