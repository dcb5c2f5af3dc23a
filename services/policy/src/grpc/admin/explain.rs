//! Why a device is set to what it is set to.

use muster_proto::policy::v1 as pb;
use tonic::{Request, Response, Status};

use super::Grpc;

impl Grpc {
    pub(super) async fn answer_explain_device(
        &self,
        _request: Request<pb::ExplainDeviceRequest>,
    ) -> Result<Response<pb::Explanation>, Status> {
        Err(Status::unimplemented("explain_device"))
    }
}
