//! Recognises cameras that refuse a login.

/// The status codes of RTSP, and those that a proxy may return.
const REFUSALS: [u32; 3] = [401, 403, 407];

/// The text for an error of `rtspsrc`, with the remedy, if the camera has refused the login. `has_user`: a user name
/// was given.
pub fn login_refusal(error: &gst::message::Error, has_user: bool) -> Option<String> {
    let status = status(error).filter(|status| REFUSALS.contains(status))?;
    Some(if has_user {
        format!("refused the login ({status}): check user and password in its URL, and that user's permissions")
    } else {
        format!("requires a login ({status}): write user and password into its URL, rtsp://USER:PASSWORD@HOST/PATH")
    })
}

/// The status of the camera's response.
fn status(error: &gst::message::Error) -> Option<u32> {
    // GStreamer reports 403 as an error of reading, and a response to SETUP as one of writing.
    let told = error.details().and_then(|details| details.get::<u32>("rtsp-status-code").ok());
    let of_setup = || error.debug()?.rsplit_once("\nError (")?.1.split_once(')')?.0.parse().ok();
    let by_kind = || error.error().matches(gst::ResourceError::NotAuthorized).then_some(401);
    told.or_else(of_setup).or_else(by_kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &gst::Message, has_user: bool) -> Option<String> {
        match message.view() {
            gst::MessageView::Error(error) => login_refusal(error, has_user),
            _ => None,
        }
    }

    fn answered(status: u32) -> gst::Message {
        let details = gst::Structure::builder("details").field("rtsp-status-code", status).build();
        gst::message::Error::builder(gst::ResourceError::Read, "Unhandled error").details(details).build()
    }

    #[test]
    fn refusals_are_told_by_their_status() {
        gst::init().unwrap();
        for status in REFUSALS {
            let text = refusal(&answered(status), true).unwrap();
            assert!(text.contains(&format!("({status})")) && text.contains("check user and password"), "{text}");
            let text = refusal(&answered(status), false).unwrap();
            assert!(text.contains("write user and password"), "{text}");
        }
        for status in [400, 404, 408, 453, 454, 500, 503] {
            assert_eq!(refusal(&answered(status), true), None, "{status}");
        }
        let plain = gst::message::Error::new(gst::ResourceError::NotAuthorized, "Unauthorized");
        assert!(refusal(&plain, true).unwrap().contains("(401)"));
        let setup = |debug: &str| gst::message::Error::builder(gst::ResourceError::Write, "").debug(debug).build();
        let place = "gstrtspsrc.c(7867): gst_rtspsrc_setup_streams_start (): /GstPipeline:p(401)/GstRTSPSrc:client:";
        assert!(refusal(&setup(&format!("{place}\nError (403): Forbidden")), true).unwrap().contains("(403)"));
        assert_eq!(refusal(&setup(&format!("{place}\nError (461): Unsupported transport (401)")), true), None);
        assert_eq!(refusal(&setup(&format!("{place}\nCould not send message. (401)")), true), None);
        assert_eq!(refusal(&gst::message::Error::new(gst::ResourceError::NotFound, "Not found"), true), None);
    }
}
