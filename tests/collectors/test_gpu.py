from agent.collectors import gpu, gpu_health

IDENTITY = ("gpu", "uuid", "pci")


def test_series_of_one_gpu_carry_index_uuid_and_address() -> None:
    """Indexes shift and names repeat: only the three together are of use to everybody."""
    declared = (*gpu.Collector.metrics, *gpu_health.Collector.metrics)
    of_one = [m for m in declared if "uuid" in m.labels]
    assert of_one
    assert all(m.labels[:3] == IDENTITY for m in of_one)
