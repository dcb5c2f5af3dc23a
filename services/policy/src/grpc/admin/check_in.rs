//! How devices check in, and those that shall do so at once.

use muster_proto::policy::v1 as pb;
use tonic::{Request, Response, Status};

use super::Grpc;

impl Grpc {
    pub(super) async fn answer_get_check_in_settings(
        &self,
        _request: Request<pb::GetCheckInSettingsRequest>,
    ) -> Result<Response<pb::CheckInSettings>, Status> {
        Err(Status::unimplemented("get_check_in_settings"))
    }

    pub(super) async fn answer_update_check_in_settings(
        &self,
        _request: Request<pb::UpdateCheckInSettingsRequest>,
    ) -> Result<Response<pb::CheckInSettings>, Status> {
        Err(Status::unimplemented("update_check_in_settings"))
    }

    pub(super) async fn answer_sync_devices(
        &self,
        _request: Request<pb::SyncDevicesRequest>,
    ) -> Result<Response<pb::SyncDevicesResponse>, Status> {
        Err(Status::unimplemented("sync_devices"))
    }
}
