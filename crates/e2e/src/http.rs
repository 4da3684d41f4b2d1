//! Requests as a client outside would make them, one connection each.

use std::time::Duration;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Makes a GET request.
///
/// # Errors
/// No answer came; any status is an answer.
pub fn get(url: &str) -> Result<Answer, String> {
    request("GET", url, &[], "")
}

/// Makes a request with these headers and this body.
///
/// # Errors
/// No answer came; any status is an answer.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, String> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60))).build().into();
    let mut builder = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let request = builder.body(body.to_owned()).map_err(|error| error.to_string())?;
    let mut response = agent.run(request).map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
    Ok(Answer { status, body })
}
