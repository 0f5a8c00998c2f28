//! `oxmq admin`, `mqadmin`: Apache's admin commands with Apache's arguments and columns.
//!
//! An error is one line with what to do about it and exit code 1, where Apache's tool prints a stack trace and exits 0.

mod commands;
mod context;
mod error;
mod options;
mod text;

use std::future::Future;
use std::io::Write;
use std::pin::Pin;

use crate::commands::{cluster, connection, group, progress, replay, topic};
use crate::context::Context;
use crate::error::AdminError;
use crate::options::{Given, Opt, Parsed};

/// Where a command writes.
pub type Stream = Box<dyn Write>;

/// A command's output and its errors.
struct Streams {
    out: Stream,
    err: Stream,
}

/// How a command ends.
type Outcome = Result<(), AdminError>;
/// A command under way.
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One command.
struct Command {
    name: &'static str,
    about: &'static str,
    options: &'static [Opt],
    run: for<'a> fn(&'a mut Context<'_>, &'a Given) -> Running<'a>,
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
    command!("resetOffsetByTime", "Reset consumer offset by timestamp(without client restart).", replay::reset, RESET),
    command!("skipAccumulatedMessage", "Skip all messages that are accumulated (not consumed) currently.", replay::skip, SKIP),
    command!("cloneGroupOffset", "Clone offset from other group.", replay::clone, CLONE),
    command!("clusterList", "List cluster infos.", cluster::list, LIST),
    command!("cleanExpiredCQ", "Clean expired ConsumeQueue on broker.", cluster::clean_expired_queues, CLEAN),
    command!("deleteExpiredCommitLog", "Delete expired CommitLog files.", cluster::delete_expired_files, CLEAN),
    command!("cleanUnusedTopic", "Clean unused topic on broker.", cluster::clean_unused_topics, CLEAN),
    command!("topicList", "Fetch all topic list from name server.", topic::list, LIST),
];

/// Runs a command line, its program's name left out; the process's exit code.
pub fn run(args: Vec<String>) -> i32 {
    let environment = std::env::var("NAMESRV_ADDR").ok();
    run_with(&args, environment, Box::new(std::io::stdout()), Box::new(std::io::stderr()))
}

/// [`run`] with NAMESRV_ADDR and the streams given.
pub fn run_with(args: &[String], environment: Option<String>, out: Stream, err: Stream) -> i32 {
    let mut streams = Streams { out, err };
    let ended = match dispatch(args, environment, &mut streams) {
        Ok(code) => return code,
        Err(ended) => ended,
    };
    // A reader that has gone, as in `| head`, is no error.
    i32::from(ended.kind() != std::io::ErrorKind::BrokenPipe)
}

fn dispatch(args: &[String], environment: Option<String>, streams: &mut Streams) -> std::io::Result<i32> {
    let (command, rest) = match args {
        [] => return overview(streams),
        [help] if help == "help" => return overview(streams),
        [help, name, ..] if help == "help" => match find(name) {
            Some(command) => {
                streams.out.write_all(options::help(command.name, command.options).as_bytes())?;
                return Ok(0);
            }
            None => return unknown(name, streams),
        },
        [name, rest @ ..] => match find(name) {
            Some(command) => (command, rest),
            None => return unknown(name, streams),
        },
    };
    let given = match options::parse(command.options, rest) {
        Ok(Parsed::Help) => {
            streams.out.write_all(options::help(command.name, command.options).as_bytes())?;
            return Ok(0);
        }
        Ok(Parsed::Given(given)) => given,
        Err(problem) => {
            writeln!(streams.err, "{problem}")?;
            streams.out.write_all(options::help(command.name, command.options).as_bytes())?;
            return Ok(1);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut context = Context::new(given.get("n"), environment, streams);
        let outcome = (command.run)(&mut context, &given).await;
        context.flush()?;
        Ok::<_, std::io::Error>(outcome)
    })?;
    match outcome {
        Ok(()) => Ok(0),
        Err(AdminError::Io(error)) => Err(error),
        Err(error) => {
            writeln!(streams.err, "{}", error.line(command.name))?;
            Ok(1)
        }
    }
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.name.eq_ignore_ascii_case(name))
}

/// Apache's words, on its stream; then what could have been meant.
fn unknown(name: &str, streams: &mut Streams) -> std::io::Result<i32> {
    writeln!(streams.out, "The sub command {name} not exist.")?;
    let names: Vec<_> = COMMANDS.iter().map(|c| c.name).collect();
    let more = "Apache's own mqadmin has more and works with these servers too";
    writeln!(streams.err, "mqadmin knows {}; {more}", names.join(", "))?;
    Ok(1)
}

fn overview(streams: &mut Streams) -> std::io::Result<i32> {
    writeln!(streams.out, "The most commonly used mqadmin commands are:")?;
    for command in COMMANDS {
        writeln!(streams.out, "   {:<35} {}", command.name, command.about)?;
    }
    writeln!(streams.out, "\nSee 'mqadmin help <command>' for more information on a specific command.")?;
    Ok(0)
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
        let run = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            run_with(&args, None, Box::new(std::io::sink()), Box::new(std::io::sink()))
        };
        assert_eq!(run("noSuchCommand"), 1);
        assert_eq!(run("help topicList"), 0);
        assert_eq!(run("topicRoute"), 1, "-t lacks");
    }
}
