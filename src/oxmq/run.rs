//! The server roles, from their settings to their end.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use oxmq_base::config::{BrokerSettings, Loaded, NamesrvSettings, Refusal, load_broker, load_namesrv};
use oxmq_base::{dirs, net};
use oxmq_protocol::frame::SerializeType;
use oxmq_remoting::client::ClientConfig;

use crate::args::{LogTarget, ServerArgs, StandaloneArgs};
use crate::boot::{self, PidFile, StopSignals, exit, say};
use crate::{logs, machine, roles};

/// Threads that wait for disks; what finds none waits in its lane. Each keeps memory of its own for as long as it is there:
/// tokio's 512 took 430 MB when 50,000 queues were opened at once.
const BLOCKING_THREADS_MAX: usize = 24;
/// A stop that takes longer is cut off. The first one of 50,000 new queues syncs as many files, and a slow disk takes its time
/// for each.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);

/// Messages of the demo.
const DEMO_MESSAGES: usize = 5;

/// What is to be started, and how.
struct Plan {
    role: &'static str,
    namesrv: Option<Loaded<NamesrvSettings>>,
    broker: Option<Loaded<BrokerSettings>>,
    log: LogTarget,
    log_folder: PathBuf,
    ports_file: Option<PathBuf>,
    /// Lines for a person at a terminal, once all is up.
    greeting: bool,
    /// Messages that `--demo` sends and consumes.
    demo: Option<usize>,
}

/// `oxmq namesrv`, `mqnamesrv`.
pub fn namesrv(args: &ServerArgs) -> ExitCode {
    let mut inputs = match boot::inputs(args) {
        Ok(inputs) => inputs,
        Err(e) => return bad_arguments(&e),
    };
    // -n is an option of all of Apache's servers; a nameserver has no use for it, and no store.
    inputs.flags.retain(|(key, _)| key != "namesrvAddr" && key != "acceptPending");
    let own_file = dirs::home().join("namesrv/oxmq.properties");
    if args.config_file.is_none() && own_file.exists() {
        inputs.file = Some(own_file.clone());
    }
    let mut loaded = match load_namesrv(&inputs) {
        Ok(loaded) => loaded,
        Err(refusals) => return boot::refuse(&refusals),
    };
    if args.config_file.is_none() && !loaded.is_given("configStorePath") {
        loaded.settings.namesrv.config_store_path = own_file.to_string_lossy().into_owned();
    }
    if let Some(file) = &args.config_file {
        say(&format!("load config properties file OK, {}", file.display()));
    }
    if args.print_all || args.print_important {
        // Apache's nameserver knows no -m; the same keys are important as for a broker.
        return boot::print_keys(&loaded.settings.tables(), !args.print_all);
    }
    if args.check {
        return checked(&loaded.warnings);
    }
    start(Plan {
        role: "namesrv",
        namesrv: Some(loaded),
        broker: None,
        log: args.log,
        log_folder: dirs::home().join("logs/rocketmqlogs"),
        ports_file: args.ports_file.clone(),
        greeting: false,
        demo: None,
    })
}

/// `oxmq broker`, `mqbroker`.
pub fn broker(args: &ServerArgs) -> ExitCode {
    let mut loaded = match loaded_broker(args, args.config_file.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if args.config_file.is_none() {
        // Without -c what is set at run time is kept in the store, and is in force again at the next start.
        let own_file = Path::new(&loaded.settings.store.store_path_root_dir).join("config/oxmq.properties");
        if own_file.exists() {
            loaded = match loaded_broker(args, Some(&own_file)) {
                Ok(loaded) => loaded,
                Err(code) => return code,
            };
        }
        loaded.settings.broker.broker_config_path = Some(own_file.to_string_lossy().into_owned());
    }
    if args.print_all || args.print_important {
        return boot::print_keys(&loaded.settings.tables(), !args.print_all);
    }
    if args.check {
        return checked(&loaded.warnings);
    }
    start(Plan {
        role: "broker",
        namesrv: None,
        broker: Some(loaded),
        log: args.log,
        log_folder: dirs::home().join("logs/rocketmqlogs"),
        ports_file: args.ports_file.clone(),
        greeting: false,
        demo: None,
    })
}

/// `oxmq standalone`: a nameserver and a broker that keep everything below one folder and, unless told otherwise, are
/// reached from this machine only.
pub fn standalone(args: &StandaloneArgs) -> ExitCode {
    let own_file = args.data.join("broker.conf");
    let file = args.server.config_file.clone().or_else(|| own_file.exists().then(|| own_file.clone()));
    let mut server = args.server.clone();
    server.define.extend(args.broker_port.map(|port| format!("listenPort={port}")));
    let mut broker = match loaded_broker(&server, file.as_deref()) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let mut namesrv = Loaded {
        settings: NamesrvSettings::default(),
        warnings: Vec::new(),
        given: std::collections::BTreeMap::new(),
    };
    place_below(&args.data, &own_file, &mut namesrv.settings, &mut broker);
    namesrv.settings.server.listen_port = i32::from(args.namesrv_port);
    if args.server.print_all || args.server.print_important {
        return boot::print_keys(&broker.settings.tables(), !args.server.print_all);
    }
    if args.server.check {
        return checked(&broker.warnings);
    }
    start(Plan {
        role: "standalone",
        namesrv: Some(namesrv),
        broker: Some(broker),
        log: args.server.log,
        log_folder: args.data.join("logs"),
        ports_file: args.server.ports_file.clone(),
        greeting: true,
        demo: args.demo.then_some(DEMO_MESSAGES),
    })
}

/// `oxmq admin`, `mqadmin`.
pub fn admin(args: Vec<OsString>) -> ExitCode {
    let args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    ExitCode::from(u8::try_from(oxmq_admin::run(args)).unwrap_or(1))
}

fn bad_arguments(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(exit::BAD_ARGUMENTS)
}

fn checked(warnings: &[String]) -> ExitCode {
    for warning in warnings {
        eprintln!("WARN {warning}");
    }
    say("configuration OK");
    ExitCode::SUCCESS
}

fn loaded_broker(args: &ServerArgs, file: Option<&Path>) -> Result<Loaded<BrokerSettings>, ExitCode> {
    if args.enable_proxy {
        return Err(boot::refuse(&[Refusal {
            text: "--enable-proxy refuses the start: the gRPC proxy is not built yet, and clients that need it would find \
                   nobody listening"
                .into(),
            apache_line: None,
            exit: i32::from(exit::BAD_CONFIG),
        }]));
    }
    let mut inputs = boot::inputs(args).map_err(|e| bad_arguments(&e))?;
    inputs.file = file.map(Path::to_path_buf);
    load_broker(&inputs).map_err(|refusals| boot::refuse(&refusals))
}

/// The settings of `standalone` that differ from those of its parts.
fn place_below(
    data: &Path,
    own_file: &Path,
    namesrv: &mut NamesrvSettings,
    broker: &mut Loaded<BrokerSettings>,
) {
    const LOCAL: &str = "127.0.0.1";
    let below = |path: &str| data.join(path).to_string_lossy().into_owned();
    namesrv.namesrv.kv_config_path = below("namesrv/kvConfig.json");
    namesrv.namesrv.config_store_path = below("namesrv/namesrv.properties");
    let given = |key: &str| broker.given.contains_key(key);
    let settings = &mut broker.settings;
    if !given("storePathRootDir") {
        settings.store.store_path_root_dir = below("store");
    }
    if settings.broker.broker_config_path.is_none() {
        settings.broker.broker_config_path = Some(own_file.to_string_lossy().into_owned());
    }
    // Whoever names an address to be reached at wants to be reached from elsewhere: then every interface is listened on, as
    // Apache does. Whoever names one to listen on is reached there.
    if !given("bindAddress") && !given("brokerIP1") {
        settings.server.bind_address = LOCAL.to_owned();
    }
    if !given("brokerIP1") {
        let bound = settings.server.bind_address.trim_matches(['[', ']']).parse::<IpAddr>();
        settings.broker.broker_ip1 = match bound {
            Ok(ip) if !ip.is_unspecified() => net::bracketed(ip),
            _ => LOCAL.to_owned(),
        };
    }
    if !given("brokerIP2") {
        settings.broker.broker_ip2 = settings.broker.broker_ip1.clone();
    }
    namesrv.server = settings.server.clone();
    namesrv.tls = settings.tls.clone();
}

fn start(plan: Plan) -> ExitCode {
    let files: &[(&str, &'static str)] = match plan.role {
        "namesrv" => &[("namesrv", "oxmq_namesrv")],
        "broker" => &[("broker", "oxmq_broker")],
        _ => &[("broker", "oxmq_broker"), ("namesrv", "oxmq_namesrv")],
    };
    let guard = match logs::start(plan.log, &plan.log_folder, files) {
        Ok(guard) => guard,
        Err(e) => {
            eprintln!(
                "cannot write the log below {}: {e}; --log stdout needs no file",
                plan.log_folder.display()
            );
            return ExitCode::from(exit::START_FAILED);
        }
    };
    let code = run_to_the_end(plan);
    drop(guard);
    code
}

fn run_to_the_end(plan: Plan) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("panic: {panic}");
        eprintln!("panic: {panic}");
    }));
    let to_terminal = plan.log == LogTarget::File;
    let fail = |e: anyhow::Error| {
        let (line, code) = boot::explain(&e);
        tracing::error!("{line}");
        if to_terminal {
            eprintln!("{line}");
        }
        ExitCode::from(code)
    };
    if let Some(namesrv) = &plan.namesrv {
        tracing::info!("nameserver settings: {}", namesrv.describe(&namesrv.settings.entries()));
    }
    if let Some(broker) = &plan.broker {
        tracing::info!("broker settings: {}", broker.describe(&broker.settings.entries()));
    }
    for warning in start_warnings(&plan) {
        tracing::warn!("{warning}");
        if to_terminal {
            eprintln!("WARN {warning}");
        }
    }
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.enable_all().thread_name("net").max_blocking_threads(BLOCKING_THREADS_MAX);
    let runtime = match threads.build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(anyhow::Error::from(e).context("cannot start threads")),
    };
    let code = match runtime.block_on(serve(plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(e),
    };
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

fn start_warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(namesrv) = &plan.namesrv {
        warnings.extend(namesrv.warnings.iter().cloned());
    }
    if let Some(broker) = &plan.broker {
        warnings.extend(broker.warnings.iter().cloned());
        if plan.role == "broker" && !broker.is_given("brokerIP1") {
            warnings.extend(net::advertise_warnings(&broker.settings.broker.broker_ip1, &net::interfaces()));
        }
    }
    warnings.extend(machine::warnings());
    warnings.extend(boot::java_environment());
    warnings
}

async fn serve(plan: Plan) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen().context("cannot take over signals")?;
    let up = tokio::select! {
        up = start_all(&plan) => up?,
        name = signals.next() => anyhow::bail!("{name} before the start was complete"),
    };
    if let Some(path) = &plan.ports_file {
        boot::write_ports(path, &up.ports()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let pid_file = (plan.role != "standalone").then(|| PidFile::create(&plan.log_folder, plan.role));
    for line in up.boot_lines() {
        tracing::info!("{line}");
        say(&line);
    }
    if plan.greeting {
        for line in up.greeting(&plan.log_folder) {
            say(&line);
        }
    }
    if let (Some(count), Some(namesrv)) = (plan.demo, &up.namesrv) {
        let nameservers = vec![namesrv.local_name()];
        let outgoing = match &plan.broker {
            Some(broker) => ClientConfig::from_settings(&broker.settings.client, &broker.settings.tls)?,
            None => ClientConfig::default(),
        };
        let demo = oxmq_client::demo::run(nameservers, outgoing, count, std::io::stdout());
        tokio::select! {
            done = demo => match done {
                Ok(()) => say("The demo is done; the servers go on."),
                Err(e) => say(&format!("The demo failed: {}", boot::explain(&e.into()).0)),
            },
            name = signals.next() => return finish(name, up, pid_file).await,
        }
    }
    let name = signals.next().await;
    finish(name, up, pid_file).await
}

/// Stops what runs, within [`STOP_TIME_MAX`]. Signals that come meanwhile change nothing: `timeout` and some supervisors
/// send theirs twice.
async fn finish(name: &str, up: Up, pid_file: Option<PidFile>) -> anyhow::Result<()> {
    tracing::info!("{name}: stopping");
    let stopped = tokio::time::timeout(STOP_TIME_MAX, up.stop()).await;
    drop(pid_file);
    stopped.context("the stop took too long and was cut off; the next start recovers")?;
    tracing::info!("stopped");
    Ok(())
}

/// What runs.
struct Up {
    namesrv: Option<roles::Namesrv>,
    broker: Option<roles::Broker>,
}

async fn start_all(plan: &Plan) -> anyhow::Result<Up> {
    let mut up = Up { namesrv: None, broker: None };
    if let Some(namesrv) = &plan.namesrv {
        up.namesrv = Some(roles::Namesrv::start(namesrv.settings.clone()).await?);
    }
    if let Some(broker) = &plan.broker {
        let mut settings = broker.settings.clone();
        if let Some(namesrv) = &up.namesrv
            && settings.broker.namesrv_addr.is_none()
        {
            settings.broker.namesrv_addr = Some(namesrv.local_name());
        }
        match roles::Broker::start(settings).await {
            Ok(broker) => up.broker = Some(broker),
            Err(e) => {
                up.stop().await;
                return Err(e);
            }
        }
    }
    Ok(up)
}

impl Up {
    fn ports(&self) -> Vec<(&'static str, u16)> {
        let mut ports = Vec::new();
        if let Some(namesrv) = &self.namesrv {
            ports.push(("namesrv", namesrv.port()));
        }
        if let Some(broker) = &self.broker {
            ports.extend(["broker", "fast"].into_iter().zip(broker.ports()));
        }
        ports
    }

    /// Apache's lines; scripts and test frameworks wait for them.
    fn boot_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let serialize_type = match roles::serialize_type() {
            SerializeType::RocketMq => "ROCKETMQ",
            SerializeType::Json => "JSON",
        };
        if let Some(namesrv) = &self.namesrv {
            lines.push(format!(
                "The Name Server boot success. serializeType={serialize_type}, address {}:{}",
                namesrv.bind_address(),
                namesrv.port()
            ));
        }
        if let Some(broker) = &self.broker {
            let mut line = format!(
                "The broker[{}, {}] boot success. serializeType={serialize_type}",
                broker.name(),
                broker.advertised()
            );
            if let Some(list) = broker.namesrv_addr() {
                line.push_str(&format!(" and name server is {list}"));
            }
            lines.push(line);
        }
        lines
    }

    /// For a person who has started `standalone`: what runs where, and what to try next.
    fn greeting(&self, log_folder: &Path) -> Vec<String> {
        let (Some(namesrv), Some(broker)) = (&self.namesrv, &self.broker) else { return Vec::new() };
        let names = namesrv.local_name();
        let fast = broker.ports().get(1).map(|port| format!(", {port} for consumers")).unwrap_or_default();
        vec![
            String::new(),
            format!("  nameserver  {names}"),
            format!("  broker      {}{fast}", broker.advertised()),
            format!("  data, logs  {}", log_folder.with_file_name("").display()),
            String::new(),
            format!(
                "  Java     DefaultMQProducer p = new DefaultMQProducer(\"try\"); p.setNamesrvAddr(\"{names}\"); p.start(); \
                 p.send(new Message(\"TopicTest\", \"hello\".getBytes()));"
            ),
            format!("  mqadmin  scripts/mqadmin topicList -n {names}"),
            String::new(),
            "  Ctrl-C stops both.".to_owned(),
        ]
    }

    /// The broker first: it unregisters.
    async fn stop(self) {
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        if let Some(namesrv) = self.namesrv {
            namesrv.stop().await;
        }
    }
}
