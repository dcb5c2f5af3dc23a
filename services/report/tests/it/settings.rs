//! When devices count as stale or drifting.

use std::time::Duration;

use muster_errors::ErrorCode;
use muster_proto::convert::{duration, span};
use muster_proto::report::v1 as pb;
use muster_proto::report::v1::report_service_server::ReportService as _;
use muster_runtime::position::{MIN_POSITION, POSITION};
use tonic::Response;

use crate::reporting::{Service, as_admin, fault, status};

const HOUR: Duration = Duration::from_secs(60 * 60);
const NAME: &str = "tenants/default/reportSettings";

fn change(stale_after: Duration, drift_after: u32, etag: &str) -> pb::UpdateReportSettingsRequest {
    let settings = pb::ReportSettings {
        name: NAME.to_owned(),
        stale_after: Some(duration(stale_after)),
        drift_after,
        etag: etag.to_owned(),
        update_time: None,
    };
    pb::UpdateReportSettingsRequest { report_settings: Some(settings), ..Default::default() }
}

impl Service {
    async fn settings(&self, seen: Option<&Response<pb::ReportSettings>>) -> pb::ReportSettings {
        let mut request = as_admin(pb::GetReportSettingsRequest { name: NAME.to_owned() });
        if let Some(position) = seen.and_then(|response| response.metadata().get(POSITION)) {
            request.metadata_mut().insert(MIN_POSITION, position.clone());
        }
        self.grpc.get_report_settings(request).await.unwrap().into_inner()
    }
}

#[tokio::test]
async fn the_defaults_hold_until_an_admin_changes_them_and_a_device_drifts_by_what_holds() {
    let service = Service::start();
    let before = service.settings(None).await;
    assert_eq!((span(before.stale_after.unwrap()), before.drift_after), (7 * 24 * HOUR, 3));
    assert_eq!(before.update_time, None);
    let only = pb::UpdateReportSettingsRequest { validate_only: true, ..change(2 * HOUR, 1, &before.etag) };
    let foreseen = service.grpc.update_report_settings(as_admin(only)).await.unwrap();
    assert_eq!(foreseen.get_ref().drift_after, 1);
    assert_eq!(service.settings(Some(&foreseen)).await, before);
    let changed =
        service.grpc.update_report_settings(as_admin(change(2 * HOUR, 1, &before.etag))).await.unwrap();
    let after = service.settings(Some(&changed)).await;
    assert_eq!((&after, span(after.stale_after.unwrap())), (changed.get_ref(), 2 * HOUR));
    let mut drifting = status(muster_proto::report::v1::SettingState::Succeeded);
    drifting.settings[0].corrections = 1;
    let position = service.report(drifting).await.unwrap().metadata().get(POSITION).unwrap().clone();
    assert_eq!(position, "report:3", "the change, the report and the suspicion");
    let stale = service.grpc.update_report_settings(as_admin(change(3 * HOUR, 2, &before.etag))).await;
    assert_eq!(fault(stale).code, ErrorCode::EtagMismatch);
}

#[tokio::test]
async fn settings_out_of_bounds_of_another_tenant_or_by_nobody_are_refused() {
    let service = Service::start();
    let refused = fault(service.grpc.update_report_settings(as_admin(change(HOUR, 1_001, ""))).await);
    assert_eq!(refused.code, ErrorCode::ArgumentInvalid);
    let fields: Vec<_> = refused.fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(fields, ["report_settings.stale_after", "report_settings.drift_after"]);
    let long = pb::UpdateReportSettingsRequest { reason: "x".repeat(1_025), ..change(HOUR, 1, "") };
    assert_eq!(fault(service.grpc.update_report_settings(as_admin(long)).await).fields[0].field, "reason");
    let other = pb::GetReportSettingsRequest { name: "tenants/other/reportSettings".to_owned() };
    let refused = fault(service.grpc.get_report_settings(as_admin(other)).await);
    assert_eq!(refused.code, ErrorCode::ArgumentInvalid);
    let nobody = tonic::Request::new(change(3 * HOUR, 1, ""));
    assert_eq!(fault(service.grpc.update_report_settings(nobody).await).code, ErrorCode::AdminTokenInvalid);
}
