//! The command line: a role by subcommand or by the program's name, and Apache's options in the forms that its parser takes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::check_store::{CheckArgs, DumpArgs};

/// RocketMQ's nameserver and broker in one program.
#[derive(Debug, Parser)]
#[command(name = "oxmq", version, infer_long_args = true, arg_required_else_help = true)]
pub struct Cli {
    /// What this process is to be.
    #[command(subcommand)]
    pub role: Role,
}

/// What this process is to be.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Run a nameserver.
    #[command(name = "namesrv", visible_alias = "mqnamesrv")]
    Namesrv(ServerArgs),
    /// Run a broker.
    #[command(name = "broker", visible_alias = "mqbroker")]
    Broker(ServerArgs),
    /// Run a nameserver and a broker in one process, for development.
    #[command(name = "standalone")]
    Standalone(StandaloneArgs),
    /// Run an mqadmin command: oxmq admin topicList -n 127.0.0.1:9876
    #[command(name = "admin", visible_alias = "mqadmin", disable_help_flag = true)]
    Admin {
        /// The command and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Verify a stopped store folder of either broker, read-only: exit code 0 clean, 1 a start repairs it, 2 damage.
    #[command(name = "check-store")]
    CheckStore(CheckArgs),
    /// Show a record, queue units, index entries, a timer slot or the checkpoint of a store folder.
    #[command(name = "dump")]
    Dump(DumpArgs),
    /// Write the sample configuration files, or the list of keys.
    #[command(name = "conf", hide = true)]
    Conf {
        /// Folder to write the samples to.
        #[arg(long)]
        write: Option<PathBuf>,
        /// File to write the list of all keys to.
        #[arg(long)]
        keys: Option<PathBuf>,
    },
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogTarget {
    /// ~/logs/rocketmqlogs/, rolled by size.
    File,
    /// Standard output, the same lines.
    Stdout,
    /// Standard output, one JSON object a line.
    Json,
}

/// Options of a server.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Configuration file, in Apache's .properties format
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Nameservers, e.g. 192.168.0.1:9876;192.168.0.2:9876
    #[arg(short = 'n', long = "namesrvAddr", value_name = "LIST")]
    pub namesrv_addr: Option<String>,
    /// Print every key with its value and exit
    #[arg(short = 'p', long = "printConfigItem")]
    pub print_all: bool,
    /// Print the important keys and exit
    #[arg(short = 'm', long = "printImportantConfig")]
    pub print_important: bool,
    /// Check the configuration and exit: 0 if a start would accept it
    #[arg(long)]
    pub check: bool,
    /// Write the ports in use to this file once they are open (for listenPort=0)
    #[arg(long = "ports-file", value_name = "FILE")]
    pub ports_file: Option<PathBuf>,
    /// Where the log goes
    #[arg(long, value_enum, default_value = "file")]
    pub log: LogTarget,
    /// Set a key: -DbrokerName=a
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub define: Vec<String>,
    /// Open a store in which Apache's broker has left timers or POP checkpoints, and leave them untouched
    #[arg(long = "accept-pending")]
    pub accept_pending: bool,
    /// Not there yet: refuses the start
    #[arg(long = "enable-proxy", hide = true)]
    pub enable_proxy: bool,
    /// Words that Apache's parser ignores.
    #[arg(hide = true)]
    pub ignored: Vec<String>,
}

/// Options of `standalone`.
#[derive(Debug, Clone, Args)]
pub struct StandaloneArgs {
    /// Folder of all data and logs
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
    /// Port of the nameserver; 0 takes any free one
    #[arg(long = "namesrv-port", value_name = "PORT", default_value_t = 9876)]
    pub namesrv_port: u16,
    /// Port of the broker, that for consumers two below; 0 takes any free ones [default: 10911]
    #[arg(long = "broker-port", value_name = "PORT")]
    pub broker_port: Option<u16>,
    /// Once all is up, produce a few messages, consume and print them
    #[arg(long)]
    pub demo: bool,
    /// The broker's options
    #[command(flatten)]
    pub server: ServerArgs,
}

/// Reads the command line, program name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(normalise(args.into_iter().collect()))
}

/// Turns what Apache's command lines may hold into what clap reads: the role by the program's name, and long options with
/// one dash (`-namesrvAddr x`), which commons-cli takes.
fn normalise(mut args: Vec<OsString>) -> Vec<OsString> {
    let program = args.first().map(PathBuf::from).unwrap_or_default();
    let role = match program.file_name().and_then(|n| n.to_str()) {
        Some("mqnamesrv") => Some("namesrv"),
        Some("mqbroker") => Some("broker"),
        Some("mqadmin") => Some("admin"),
        _ => None,
    };
    if let Some(role) = role {
        args.insert(1, role.into());
    }
    let server = args.get(1).is_some_and(|r| ["namesrv", "broker", "standalone"].iter().any(|s| r == s));
    if server {
        for arg in args.iter_mut().skip(2) {
            if let Some(long) = arg.to_str().and_then(single_dash_long) {
                *arg = long.into();
            }
        }
    }
    args
}

fn single_dash_long(arg: &str) -> Option<String> {
    const LONG: [&str; 5] = ["help", "namesrvAddr", "configFile", "printConfigItem", "printImportantConfig"];
    let name = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
    let bare = name.split('=').next().unwrap_or(name);
    LONG.contains(&bare).then(|| format!("--{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(args: &[&str]) -> ServerArgs {
        match parse(args.iter().map(OsString::from)).map(|c| c.role) {
            Ok(Role::Broker(args)) => args,
            other => panic!("{other:?}"),
        }
    }

    /// Every form that commons-cli's DefaultParser takes for the options of mqbroker.
    #[test]
    fn takes_apaches_forms() {
        for form in [
            &["-n", "a:1"][..],
            &["-na:1"],
            &["--namesrvAddr", "a:1"],
            &["--namesrvAddr=a:1"],
            &["-namesrvAddr", "a:1"],
            &["-namesrvAddr=a:1"],
            &["--names", "a:1"],
            &["stray", "-n", "a:1"],
        ] {
            let all: Vec<&str> = ["oxmq", "broker"].iter().chain(form).copied().collect();
            assert_eq!(broker(&all).namesrv_addr.as_deref(), Some("a:1"), "{form:?}");
        }
        let args = broker(&["oxmq", "broker", "-c", "b.conf", "-p", "-m", "-Da=b=c"]);
        assert_eq!(args.config_file, Some(PathBuf::from("b.conf")));
        assert!(args.print_all && args.print_important && !args.check);
        assert_eq!(args.define, ["a=b=c"]);
        assert!(broker(&["oxmq", "broker", "-printConfigItem"]).print_all);
        assert!(!args.accept_pending && broker(&["mqbroker", "--accept-pending"]).accept_pending);
    }

    #[test]
    fn takes_the_role_from_the_programs_name() {
        assert_eq!(broker(&["/opt/bin/mqbroker", "-c", "x"]).config_file, Some(PathBuf::from("x")));
        let role = |args: &[&str]| parse(args.iter().map(OsString::from)).expect("parses").role;
        assert!(matches!(role(&["mqnamesrv"]), Role::Namesrv(_)));
        assert!(
            matches!(role(&["oxmq", "standalone"]), Role::Standalone(a) if a.data == std::path::Path::new("data"))
        );
        let admin = role(&["mqadmin", "topicList", "-n", "a:1", "-h"]);
        assert!(matches!(admin, Role::Admin { args } if args == ["topicList", "-n", "a:1", "-h"]));
    }

    #[test]
    fn refuses_unknown_options() {
        assert!(parse(["oxmq", "broker", "-zz"].iter().map(OsString::from)).is_err());
    }
}
