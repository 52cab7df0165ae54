//! The API server and the store alone, on a directory of its own: what the reference cases and kubectl are run against.
//!
//! ```text
//! api_only [--listen ADDR:PORT] [--token-auth-file FILE] [--data-dir DIR] [--disable-admission-plugins A,B]
//! ```
//! It writes `DIR/kubeconfig` and prints the address and that path when it is ready. Without a directory it takes a
//! temporary one.

#![expect(clippy::print_stdout, reason = "the address is this program's output")]

use std::error::Error;
use std::path::PathBuf;

use base64::Engine as _;
use coracle_control_apiserver::pki::Pki;
use coracle_control_apiserver::{ApiServer, ApiServerConfig, HostLinks, StaticToken};
use coracle_control_store::{Store, StoreConfig};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = "127.0.0.1:0".to_owned();
    let mut directory = std::env::temp_dir().join(format!("coracle-api-only-{}", std::process::id()));
    let mut config = ApiServerConfig::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or("an option lacks its value")?;
        match name.as_str() {
            "--listen" => listen = value,
            "--data-dir" => directory = PathBuf::from(value),
            "--token-auth-file" => config.tokens = StaticToken::parse_file(&std::fs::read_to_string(value)?)?,
            "--disable-admission-plugins" => {
                config.disabled_admission_plugins = value.split(',').map(str::to_owned).collect();
            }
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    config.validate()?;
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    let address = listener.local_addr()?;
    config.advertised_address = address.to_string();
    let pki = Pki::open_or_create(&directory.join("pki"), &[])?;
    config.service_account_key = Some(pki.service_account_key()?);
    let store = Store::open(StoreConfig::new(directory.join("store"))).await?;
    let server = ApiServer::new(store.clone(), config, HostLinks::new());
    server.bootstrap().await?;
    let kubeconfig = directory.join("kubeconfig");
    std::fs::write(&kubeconfig, kubeconfig_text(&address.to_string(), &pki))?;
    println!("https://{address} {}", kubeconfig.display());
    let shutdown = CancellationToken::new();
    let serving = server.serve(listener, pki.server_config()?, shutdown.clone());
    tokio::select! {
        result = serving => result?,
        _ = tokio::signal::ctrl_c() => shutdown.cancel(),
    }
    store.close().await;
    Ok(())
}

fn kubeconfig_text(address: &str, pki: &Pki) -> String {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {
            "server": format!("https://{address}"),
            "certificate-authority-data": encode(pki.authority_pem()),
        }}],
        "users": [{"name": "u", "user": {
            "client-certificate-data": encode(&pki.admin().certificate_pem),
            "client-key-data": encode(&pki.admin().key_pem),
        }}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    })
    .to_string()
}
