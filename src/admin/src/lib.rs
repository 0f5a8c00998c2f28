//! `oxmq admin`, `mqadmin`: Apache's admin commands with Apache's arguments and columns.
//!
//! An error is one line with what to do about it and exit code 1, where Apache's tool prints a stack trace and exits 0.

mod commands;
mod context;
mod error;
mod options;
mod text;

use std::future::Future;
use std::pin::Pin;

use crate::commands::{cluster, connection, group, progress, topic};
use crate::context::Context;
use crate::error::AdminError;
use crate::options::{Given, Opt, Parsed};

/// How a command ends.
type Outcome = Result<(), AdminError>;
/// A command under way.
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One command.
struct Command {
    name: &'static str,
    about: &'static str,
    options: &'static [Opt],
    run: for<'a> fn(&'a mut Context, &'a Given) -> Running<'a>,
}

macro_rules! command {
    ($name:literal, $about:literal, $module:ident :: $function:ident, $options:ident) => {
        Command {
            name: $name,
            about: $about,
            options: $module::$options,
            run: |context, given| Box::pin($module::$function(context, given)),
        }
    };
}

/// Every command.
#[rustfmt::skip]
static COMMANDS: &[Command] = &[
    command!("updateTopic", "Update or create topic.", topic::update, UPDATE),
    command!("deleteTopic", "Delete topic from broker and NameServer.", topic::delete, DELETE),
    command!("updateSubGroup", "Update or create subscription group.", group::update, UPDATE),
    command!("topicRoute", "Examine topic route info.", topic::route, ROUTE),
    command!("topicStatus", "Examine topic Status info.", topic::status, STATUS),
    command!("brokerStatus", "Fetch broker runtime status data.", cluster::broker_status, STATUS),
    command!("producerConnection", "Query producer's socket connection and client version.", connection::producers, PRODUCERS),
    command!("consumerConnection", "Query consumer's socket connection, client version and subscription.", connection::consumers, CONSUMERS),
    command!("consumerProgress", "Query consumer's progress, speed.", progress::show, PROGRESS),
    command!("clusterList", "List cluster infos.", cluster::list, LIST),
    command!("topicList", "Fetch all topic list from name server.", topic::list, LIST),
];

/// Runs a command line, its program's name left out; the process's exit code.
pub fn run(args: Vec<String>) -> i32 {
    let Some((name, rest)) = args.split_first() else {
        print!("{}", overview());
        return 0;
    };
    if name == "help" {
        return match rest.first() {
            None => {
                print!("{}", overview());
                0
            }
            Some(name) => help(name),
        };
    }
    let Some(command) = find(name) else { return unknown(name) };
    let given = match options::parse(command.options, rest) {
        Ok(Parsed::Help) => {
            print!("{}", options::help(command.name, command.options));
            return 0;
        }
        Ok(Parsed::Given(given)) => given,
        Err(problem) => {
            eprintln!("{problem}");
            print!("{}", options::help(command.name, command.options));
            return 1;
        }
    };
    match execute(command, &given) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{}", error.line(command.name));
            1
        }
    }
}

fn execute(command: &Command, given: &Given) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut context = Context::new(given.get("n"), std::env::var("NAMESRV_ADDR").ok());
        let outcome = (command.run)(&mut context, given).await;
        context.flush()?;
        outcome
    })
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.name.eq_ignore_ascii_case(name))
}

fn help(name: &str) -> i32 {
    match find(name) {
        Some(command) => {
            print!("{}", options::help(command.name, command.options));
            0
        }
        None => unknown(name),
    }
}

/// Apache's words, on its stream; then what could have been meant.
fn unknown(name: &str) -> i32 {
    println!("The sub command {name} not exist.");
    let names: Vec<_> = COMMANDS.iter().map(|c| c.name).collect();
    eprintln!(
        "mqadmin knows {}; Apache's own mqadmin has more and works with these servers too",
        names.join(", ")
    );
    1
}

fn overview() -> String {
    let mut out = String::from("The most commonly used mqadmin commands are:\n");
    for command in COMMANDS {
        out.push_str(&format!("   {:<35} {}\n", command.name, command.about));
    }
    out.push_str("\nSee 'mqadmin help <command>' for more information on a specific command.\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two options of one name would hide each other.
    #[test]
    fn options_of_a_command_differ() {
        for command in COMMANDS {
            let all: Vec<_> = command.options.iter().chain(options::COMMON).collect();
            for (i, a) in all.iter().enumerate() {
                assert!(
                    all[i + 1..]
                        .iter()
                        .all(|b| a.long != b.long && (a.short.is_empty() || a.short != b.short)),
                    "{} {}",
                    command.name,
                    a.long
                );
            }
        }
    }

    #[test]
    fn commands_are_found_in_any_case() {
        assert_eq!(find("TOPICLIST").map(|c| c.name), Some("topicList"));
        assert_eq!(run(vec!["noSuchCommand".into()]), 1);
        assert_eq!(run(vec!["help".into(), "topicList".into()]), 0);
        assert_eq!(run(vec!["topicRoute".into()]), 1, "-t lacks");
    }
}
