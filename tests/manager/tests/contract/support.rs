//! A manager and a client for it. Deliberately asserts nothing about the contract.

use std::sync::Once;

use latchkey_manager::{Manager, ManagerConfig, NewAccount, NewTask};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

/// A manager with account `a1` and its pending task `t1`.
pub(crate) async fn manager() -> (Manager, Client) {
    manager_with(ManagerConfig::default()).await
}

/// As [`manager`], with settings.
pub(crate) async fn manager_with(config: ManagerConfig) -> (Manager, Client) {
    let manager = Manager::start(config).await.unwrap();
    manager.add_account(account("a1")).unwrap();
    manager.add_task(NewTask::new("t1", "a1").with("domain", "blog.example")).unwrap();
    let client = Client::new(manager.base_url(), manager.api_key());
    (manager, client)
}

/// An account with every credential.
pub(crate) fn account(id: &str) -> NewAccount {
    NewAccount::new(id)
        .with("site_name", "blog.example")
        .with("email", "ann@blog.example")
        .with("username", "ann")
        .with("password", "Correct-Horse-7")
        .with("pass_mail", "mail pass word here")
        .with("twofa", "GEZDGNBVGY3TQOJQ")
        .with("app_password", "abcd efgh ijkl mnop")
        .with("cookie", "sid=first; csrf=one")
}

/// Speaks to the API as a worker does.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    pub(crate) fn new(base_url: &str, key: &str) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            base: format!("{base_url}/api/v1/social"),
            key: key.to_owned(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).header("X-API-Key", &self.key)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        answer(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn start(&self, task: &str) -> Answer {
        answer(self.request(Method::POST, &format!("/links/{task}/start"))).await
    }

    pub(crate) async fn complete(&self, task: &str, link: &str) -> Answer {
        self.post(&format!("/links/{task}/complete"), serde_json::json!({ "link_post": link })).await
    }

    pub(crate) async fn fail(&self, task: &str, message: &str) -> Answer {
        self.post(&format!("/links/{task}/fail"), serde_json::json!({ "error_message": message })).await
    }

    /// The ids of a list, in order; a malformed one shows as its JSON.
    pub(crate) async fn listed(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/links{query}")).await;
        let tasks = answer.json["data"].as_array().unwrap().clone();
        tasks.iter().map(|task| task["id"].as_str().map_or_else(|| task["id"].to_string(), str::to_owned)).collect()
    }
}

/// A status and a JSON body.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl Answer {
    /// Asserts a success and hands its body on.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        assert_eq!(self.json["success"], true, "{}", self.json);
        self.json
    }

    /// Asserts a failure with exactly this status and these words.
    pub(crate) fn refused(self, status: u16, message: &str) {
        let expected = serde_json::json!({ "success": false, "message": message });
        assert_eq!(self, Self { status, json: expected });
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    read(request.send().await.unwrap()).await
}

pub(crate) async fn read(response: Response) -> Answer {
    let status = response.status().as_u16();
    Answer { status, json: response.json().await.unwrap() }
}
