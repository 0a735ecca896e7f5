"""Unit, container, pod and job, told from cgroup paths as real hosts have them."""

import pytest

from agent.host.placement import Place, cgroup_path, environment, place

ID = "0123456789ab" + "c" * 52
POD = "3f1b2c4d-0000-1111-2222-333344445555"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/system.slice/ssh.service", {"unit": "ssh.service"}),
        ("/system.slice/app@1.service/worker", {"unit": "app@1.service"}),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/run-7.scope", {"unit": "run-7.scope"}),
        ("/user.slice/user-0.slice/session-3.scope", {"unit": "session-3.scope"}),
        (f"/system.slice/docker-{ID}.scope", {"unit": f"docker-{ID}.scope", "container": "0123456789ab"}),
        (f"/docker/{ID}", {"container": "0123456789ab"}),
        (f"/machine.slice/libpod-{ID}.scope/container", {"unit": f"libpod-{ID}.scope", "container": "0123456789ab"}),
        (f"/kubepods/burstable/pod{POD}/{ID}", {"container": "0123456789ab", "pod": POD}),
        (
            f"/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
            {"unit": f"cri-containerd-{ID}.scope", "container": "0123456789ab", "pod": POD},
        ),
        (f"/kubepods/pod{POD}/crio-{ID}", {"container": "0123456789ab", "pod": POD}),
        ("/lxc.payload.web1/init.scope", {"unit": "init.scope", "container": "web1"}),
        ("/slurm/uid_1000/job_4711/step_0/task_0", {"job": "4711"}),
        (
            "/system.slice/slurmstepd.scope/job_4711/step_batch/user/task_0",
            {"unit": "slurmstepd.scope", "job": "4711"},
        ),
        ("/", {}),
    ],
)
def test_the_path_tells_where_a_process_lives(path: str, told: dict[str, str]) -> None:
    """One cgroup of the unified hierarchy."""
    assert place(f"0::{path}\n".encode()) == Place(cgroup=path, **told)


def test_on_old_hierarchies_the_memory_controller_counts() -> None:
    """The limits are there, while systemd's own hierarchy names the unit."""
    text = b"9:name=systemd:/system.slice/app.service\n4:cpu,cpuacct:/x\n3:memory:/jobs/7\n0::/\n"
    assert cgroup_path(text) == "/jobs/7"
    assert place(text).unit == "app.service"


@pytest.mark.parametrize("text", [b"", b"garbage\n", b"0::\n", b"::::\n", b"1:\xff:/\xff\n"])
def test_a_broken_file_tells_nothing(text: bytes) -> None:
    """Whatever stands there, the root is the answer."""
    assert place(text) == Place()


def test_path_text_is_cleaned() -> None:
    """A cgroup may be named by anybody who may make one."""
    assert place(b"0::/a\x1b[31m\xff\n").cgroup.isprintable()


def test_the_environment_fills_in_what_the_path_does_not_tell() -> None:
    """Job and pod; a path that names the job goes first."""
    seen = environment(b"SLURM_JOB_ID=1\0KUBERNETES_SERVICE_HOST=10.0.0.1\0HOSTNAME=web-7\0TOKEN=secret\0")
    assert "TOKEN" not in seen
    assert place(b"0::/\n", seen).job == "1"
    assert place(b"0::/\n", seen).pod == "web-7"
    assert place(b"0::/slurm/uid_0/job_2/step_0\n", seen).job == "2"
