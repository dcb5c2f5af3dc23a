"""python apply_policy.py HOST:PORT PKI_FOLDER: puts all Linux devices under a policy, and waits until each has read it back.

Uses code that generate.sh made of the contract. Works with the all-in-one process; where the services run apart, each stub
takes a channel of its own.
"""
import sys
import time
import uuid
from pathlib import Path

import grpc
from muster.enroll.v1 import admin_pb2 as enroll, admin_pb2_grpc as enroll_grpc
from muster.identity.v1 import admin_pb2 as identity, admin_pb2_grpc as identity_grpc
from muster.policy.v1 import admin_pb2 as policy, admin_pb2_grpc as policy_grpc, setting_pb2 as setting
from muster.report.v1 import admin_pb2 as report, admin_pb2_grpc as report_grpc

TENANT = "tenants/default"
RULE = 'device.deviceOSType -eq "Linux"'
SETTINGS = {"linux-antivirus/enforcement_level": "real_time", "linux-antivirus/behavior_monitoring": "enabled"}
WAIT_MAX, LOOK_EVERY = 120, 0.5  # seconds


def connect(target: str, pki: Path) -> grpc.Channel:
    server = grpc.ssl_channel_credentials((pki / "ca.pem").read_bytes())
    admin = grpc.access_token_call_credentials((pki / "admin.token").read_text().strip())
    return grpc.secure_channel(target, grpc.composite_channel_credentials(server, admin))


def devices(channel: grpc.Channel):
    stub, request = enroll_grpc.EnrollmentAdminServiceStub(channel), enroll.ListDevicesRequest(parent=TENANT, page_size=1000)
    request.filter = "platform = LINUX AND enrollment_status = SUCCEEDED"
    while page := stub.ListDevices(request):
        yield from page.devices
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return


def apply(channel: grpc.Channel, name: str) -> tuple[str, str]:
    """Creates a group and a policy and ties them. Gives the policy's name and the position at which it holds."""
    # A call that is repeated with its request id, because the answer was lost, is the same call.
    request = lambda: {"request_id": str(uuid.uuid4())}  # noqa: E731
    group = identity.Group(display_name=name, kind=identity.GROUP_KIND_DYNAMIC, rule=RULE)
    group = identity_grpc.GroupServiceStub(channel).CreateGroup(
        identity.CreateGroupRequest(parent=TENANT, group=group, **request())
    )
    policies = policy_grpc.PolicyServiceStub(channel)
    settings = [setting.Setting(id=id, value=setting.SettingValue(text=text)) for id, text in SETTINGS.items()]
    draft = policy.Policy(display_name=name, profile="linux-antivirus", settings=settings)
    made = policies.CreatePolicy(policy.CreatePolicyRequest(parent=TENANT, policy=draft, reason="shown", **request()))
    _, call = policies.AssignPolicy.with_call(policy.AssignPolicyRequest(policy=made.name, group=group.name, **request()))
    return made.name, dict(call.initial_metadata())["muster-position"]


def wait(channel: grpc.Channel, name: str, position: str, devices: int):
    """Waits until all devices targeted have read the policy back. The group's rule may yet have to find them."""
    stub, deadline = report_grpc.ReportServiceStub(channel), time.monotonic() + WAIT_MAX
    while time.monotonic() < deadline:
        # The position makes sure that the numbers are from after the assignment.
        seen = [("muster-min-position", position)]
        told = stub.GetPolicyReport(report.GetPolicyReportRequest(policy=name), metadata=seen)
        counts = {count.status: count.devices for count in told.counts}
        if counts.get(report.CHECK_IN_STATUS_SUCCEEDED, 0) == told.targeted >= devices:
            return
        time.sleep(LOOK_EVERY)
    raise TimeoutError(f"not all have read {name} back within {WAIT_MAX} s: {told}")


if __name__ == "__main__":
    with connect(sys.argv[1], Path(sys.argv[2])) as channel:
        found = list(devices(channel))
        wait(channel, *apply(channel, "Linux baseline"), devices=len(found))
        reports = report_grpc.ReportServiceStub(channel)
        for device in found:
            told = reports.GetDeviceReport(report.GetDeviceReportRequest(device=device.name))
            status = report.CheckInStatus.Name(told.check_in_status).removeprefix("CHECK_IN_STATUS_").lower()
            print(f"{device.name:60} {device.facts.hostname:20} {status:14} {len(told.settings)} settings")
