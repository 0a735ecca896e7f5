"""Network links and cards."""

from __future__ import annotations

import pytest

from tests.engine.kernel.said import has, kinds, said

MLX = "mlx5_core 0000:41:00.0: "


@pytest.mark.parametrize(
    ("line", "kind", "iface"),
    [
        ("igb 0000:01:00.0 eth0: igb: eth0 NIC Link is Up 1000 Mbps Full Duplex, Flow Control: RX", "link_up", "eth0"),
        ("ice 0000:51:00.0 ens3f0: NIC Link is up 100 Gbps Full Duplex", "link_up", "ens3f0"),
        ("tg3 0000:03:00.0: eth0: Link is down", "link_down", "eth0"),
        ("mlx4_en: eth2: Link Down", "link_down", "eth2"),
        ("e1000e: eth0 NIC Link is Down", "link_down", "eth0"),
        ("eth0: Link is Down", "link_down", "eth0"),
        ("bond0: (slave ens1): link status definitely down, disabling slave", "link_down", "ens1"),
        ("bond0: (slave ens1): link status definitely up, 25000 Mbps full duplex", "link_up", "ens1"),
        ("bond0: now running without any active interface!", "link_down", "bond0"),
        ("Dec  6 19:25:33 n1 systemd-networkd[2385]: ib1: Gained carrier", "link_up", "ib1"),
    ],
)
def test_links_as_drivers_say_it(line: str, kind: str, iface: str) -> None:
    """Every driver has words of its own."""
    (event,) = said(line)
    assert (event["kind"], event["iface"]) == (kind, iface)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"{MLX}temp_warn:170:(pid 0): High temperature on sensors with bit set 0 1", "nic_temp"),
        (f"{MLX}print_health_info:520:(pid 0): synd 0x10: High temperature", "nic_temp"),
        (f"{MLX}print_health_info:425:(pid 0): Health issue observed, firmware internal error, severity(3) ERROR:", "nic_fw_fatal"),
        (f"{MLX}cmd_work_handler:1:(pid 5): cmd[0]: CREATE_MKEY(0x200) Async, timeout. Will cause a leak", "nic_cmd_timeout"),
        ("mlx5_core 0000:65:00.0 eth0: TX timeout detected", "nic_tx_timeout"),
        ("mlx5_core 0000:65:00.0 eth0: RX timeout on channel: 3, ICOSQ: 0x1 RQ: 0x2, CQ: 0x3", "nic_rx_timeout"),
        ("infiniband rdmap0s6: Admin queue is closed", "efa_fatal"),
        (
            "infiniband rdmap16s27: The device didn't send any completion for admin cmd CREATE_QP(6) status 0 (ctx 0x0, x)",
            "efa_fatal",
        ),
        ("efa 0000:00:06.0: Device isn't ready, abort com init", "efa_fatal"),
        ("infiniband rdmap0s6: Failed to submit command REG_MR (opcode 9) err -12", "efa_cmd_failed"),
        ("nf_conntrack: table full, dropping packet", "conntrack_full"),
    ],
)
def test_cards(line: str, kind: str) -> None:
    """mlx5, EFA and what all share."""
    assert kinds(line) == [kind]


def test_grace_while_the_host_starts() -> None:
    """Links come and go in the first minute."""
    assert has(said("[   20.5] mlx5_core 0000:04:00.0 eth4: Link down")[0], boot_grace=True)
    assert has(said("[  200.5] mlx5_core 0000:04:00.0 eth4: Link down")[0], boot_grace=False)


@pytest.mark.parametrize(
    "line",
    [
        "IPv6: ADDRCONF(NETDEV_UP): eth0: link is not ready",
        "pcieport 0000:00:1c.0: pciehp: Slot(0): Link Down",
        "Dec  6 19:25:33 n1 systemd-networkd[2385]: veth12ab: Lost carrier",
        "Dec  6 19:25:33 n1 app[2385]: ib1: Lost carrier",
        f"{MLX}mlx5_pcie_event:301:(pid 7): PCIe slot advertised sufficient power (27W).",
        f"{MLX}Port module event: module 0, Cable unplugged",
        f"{MLX}wait_func_handle_exec_timeout:1062:(pid 7): cmd[0]: ENABLE_HCA(0x104) recovered after timeout",
        "ena 0000:00:05.0 eth0: Admin queue is closed",
    ],
)
def test_what_only_looks_like_one_is_silent(line: str) -> None:
    """Other subsystems, interfaces of containers, good news, other drivers."""
    assert kinds(line) == []
