//! The command line's shape. Flags that do not parse end with exit code 2; everything else that goes wrong with 1.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::SignedDuration;

use crate::command;
use crate::defaults;

/// Kubernetes light enough to carry on your back.
///
/// One binary, no root: pods are groups of WebAssembly components, and stock kubectl drives them.
#[derive(Debug, Parser)]
#[command(name = "coracle", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster on this machine: API server, store, scheduler, controllers and one host.
    Up(Box<UpArguments>),
    /// Run one WebAssembly program in a sandbox, with no cluster.
    Run(RunArguments),
    /// Load, list and remove images of the local image store.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Show the main job in one go: a cluster in a temporary directory, two pods, their log and answer.
    Demo(DemoArguments),
    /// Print a completion script for a shell.
    Completion {
        /// The shell to complete for.
        shell: clap_complete::Shell,
    },
}

/// Where the data of a cluster lives.
#[derive(Debug, Args)]
pub(crate) struct DataDirArgument {
    /// Where everything is kept: store, certificates, images, logs [default: the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// `coracle up`.
#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    #[command(flatten)]
    pub(crate) data: DataDirArgument,
    /// The address on which the API is served; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value_t = defaults::API_ADDRESS)]
    pub(crate) api: SocketAddr,
    /// Serve the API and the store alone: no scheduler, no controllers, no host
    #[arg(long)]
    pub(crate) api_only: bool,
    /// Admission plugins to run besides those that run by default, by their upstream names, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) enable_admission_plugins: Vec<String>,
    /// Admission plugins to leave out, by their upstream names, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) disable_admission_plugins: Vec<String>,
    /// Group versions to serve besides those that are served by default, as kube-apiserver takes them:
    /// `admissionregistration.k8s.io/v1beta1=true`
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',')]
    pub(crate) runtime_config: Vec<String>,
    /// A directory of this machine that pods may mount with hostPath, with all below it; may be given several times
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_host_path: Vec<PathBuf>,
    /// A file of bearer tokens, as kube-apiserver reads it: token,user,uid,"group1,group2"
    #[arg(long, value_name = "FILE")]
    pub(crate) token_auth_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) account_tokens: AccountTokenArguments,
    #[command(flatten)]
    pub(crate) oidc: OidcArguments,
    #[command(flatten)]
    pub(crate) audit: AuditArguments,
}

/// The tokens of service accounts, by the names of kube-apiserver's flags.
#[derive(Debug, Args)]
pub(crate) struct AccountTokenArguments {
    /// The issuer of service account tokens [default: https://kubernetes.default.svc.cluster.local]
    #[arg(long, value_name = "ISSUER")]
    pub(crate) service_account_issuer: Option<String>,
    /// The audiences that the API server is, separated by commas [default: the issuer]
    #[arg(long, value_name = "AUDIENCES", value_delimiter = ',')]
    pub(crate) api_audiences: Vec<String>,
    /// The longest lifetime of a service account token, as in 24h0m0s [default: none]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) service_account_max_token_expiration: Option<Duration>,
}

/// A foreign issuer whose tokens are believed, by the names of kube-apiserver's flags.
#[derive(Debug, Args)]
pub(crate) struct OidcArguments {
    /// The URL of the OpenID Connect issuer; its tokens are users of the API
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_issuer_url: Option<String>,
    /// The audience that its tokens must name
    #[arg(long, value_name = "ID")]
    pub(crate) oidc_client_id: Option<String>,
    /// The claim that is the user's name [default: sub]
    #[arg(long, value_name = "CLAIM")]
    pub(crate) oidc_username_claim: Option<String>,
    /// What comes before the user's name; - for nothing [default: URL#, unless the claim is email]
    #[arg(long, value_name = "PREFIX", allow_hyphen_values = true)]
    pub(crate) oidc_username_prefix: Option<String>,
    /// The claim that has the user's groups
    #[arg(long, value_name = "CLAIM")]
    pub(crate) oidc_groups_claim: Option<String>,
    /// What comes before the name of each group
    #[arg(long, value_name = "PREFIX")]
    pub(crate) oidc_groups_prefix: Option<String>,
    /// A file with the authorities that the issuer's certificate is verified by [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub(crate) oidc_ca_file: Option<PathBuf>,
    /// Claims that a token must have, NAME=VALUE, separated by commas; may be given several times
    #[arg(long, value_name = "CLAIMS", value_delimiter = ',')]
    pub(crate) oidc_required_claim: Vec<String>,
    /// The algorithms that tokens may be signed with, separated by commas [default: RS256]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) oidc_signing_algs: Vec<String>,
}

/// A time as Go writes it: 1h30m.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(duration).map_err(|error| error.to_string())
}

/// What is told of every request, by the names of kube-apiserver's flags.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// A file with the audit policy (audit.k8s.io/v1); without it nothing is logged
    #[arg(long, value_name = "FILE", requires = "audit_log_path")]
    pub(crate) audit_policy_file: Option<PathBuf>,
    /// The file that audit events are written to; - is the standard output
    #[arg(long, value_name = "FILE", requires = "audit_policy_file")]
    pub(crate) audit_log_path: Option<PathBuf>,
    /// Days that full files of the audit log are kept; 0 keeps them for ever
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) audit_log_maxage: u64,
    /// Full files of the audit log that are kept; 0 keeps all
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) audit_log_maxbackup: usize,
    /// MiB after which a file of the audit log is full; 0 means 100
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    pub(crate) audit_log_maxsize: u64,
    /// The form of audit events
    #[arg(long, value_name = "FORMAT", value_parser = ["json"], default_value = "json")]
    pub(crate) audit_log_format: String,
}

/// `coracle run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// A .wasm file, or the name of a loaded image
    #[arg(value_name = "FILE.wasm|IMAGE")]
    pub(crate) program: String,
    /// Set an environment variable; with no value, it is taken from this environment
    #[arg(short, long, value_name = "K=V")]
    pub(crate) env: Vec<String>,
    /// Give the program a directory
    #[arg(short, long, value_name = "HOSTDIR:GUESTDIR[:ro]")]
    pub(crate) volume: Vec<String>,
    /// CPU limit, as in Kubernetes: 500m is half a core
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) cpu: Option<String>,
    /// Memory limit, as in Kubernetes: 64Mi
    #[arg(long, value_name = "QUANTITY")]
    pub(crate) memory: Option<String>,
    /// Lifetime budget in units of fuel
    #[arg(long, value_name = "N")]
    pub(crate) fuel: Option<u64>,
    /// Publish a port of the program on the loopback address
    #[arg(short, long, value_name = "HOSTPORT:CONTAINERPORT")]
    pub(crate) publish: Vec<String>,
    #[command(flatten)]
    pub(crate) data: DataDirArgument,
    /// Arguments of the program
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

/// `coracle image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Put a .wasm file into the image store under a name.
    Load {
        /// The WebAssembly module or component
        file: PathBuf,
        /// The image's name
        #[arg(short, long, value_name = "NAME:TAG")]
        tag: String,
        #[command(flatten)]
        data: DataDirArgument,
    },
    /// List the images in the store.
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        data: DataDirArgument,
        /// How to print: a table, or JSON
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Remove an image's name, and its content when no other name has it.
    #[command(visible_alias = "rm")]
    Remove {
        /// The image's name
        name: String,
        #[command(flatten)]
        data: DataDirArgument,
    },
}

/// How a list is printed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// `coracle demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// End when all is shown, with exit code 0 or 1, instead of staying up until Ctrl-C
    #[arg(long)]
    pub(crate) exit: bool,
}

impl Arguments {
    /// Carries the command out and says how it ended.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        let result = match self.command {
            Command::Up(arguments) => command::up::execute(&arguments),
            Command::Run(arguments) => command::run::execute(&arguments),
            Command::Image(image) => command::image::execute(&image),
            Command::Demo(arguments) => command::demo::execute(&arguments),
            Command::Completion { shell } => {
                let mut shape = <Arguments as clap::CommandFactory>::command();
                clap_complete::generate(shell, &mut shape, "coracle", &mut std::io::stdout());
                Ok(ExitCode::SUCCESS)
            }
        };
        result.unwrap_or_else(|error| {
            // One line: the outermost sentence and its causes, each of which states its own fact.
            eprintln!("coracle: {error:#}");
            ExitCode::FAILURE
        })
    }
}
