//! The `oxmq` binary: one program, its role by subcommand or by the name it is called by.

mod args;
mod boot;
mod check_store;
mod conf;
mod logs;
mod machine;
mod roles;
mod run;

use std::process::ExitCode;

use args::Role;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let given: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // Their exit codes 1 and 2 speak of the folder.
    let looks = given.get(1).is_some_and(|role| role == "check-store" || role == "dump");
    let role = match args::parse(given) {
        Ok(cli) => cli.role,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() {
                ExitCode::from(if looks { check_store::USAGE } else { boot::exit::BAD_ARGUMENTS })
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match role {
        Role::Namesrv(args) => run::namesrv(&args),
        Role::Broker(args) => run::broker(&args),
        Role::Standalone(args) => run::standalone(&args),
        Role::Admin { args } => run::admin(args),
        Role::CheckStore(args) => check_store::check_store(&args),
        Role::Dump(args) => check_store::dump(&args),
        Role::Conf { write, keys } => {
            let samples = write.map_or(Ok(()), |folder| conf::write(&folder));
            let list = keys.map_or(Ok(()), |file| std::fs::write(file, conf::key_list()));
            if let Err(e) = samples.and(list) {
                eprintln!("cannot write: {e}");
                return ExitCode::FAILURE;
            }
            ExitCode::SUCCESS
        }
    }
}
