//! Arguments in the forms that commons-cli takes (`-t x`, `-tx`, `-t=x`, `--topic x`, `--topic=x`, `-topic x`, `--top x`),
//! its messages, and its help text at a width of 110.

use std::collections::BTreeMap;

/// Columns of help text.
const WIDTH: usize = 110;
/// Where the usage goes on in its next line.
const USAGE_INDENT: usize = 7;

/// An option of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// One letter; empty for none.
    pub short: &'static str,
    /// Name.
    pub long: &'static str,
    /// What it says.
    pub about: &'static str,
    /// Whether a value follows.
    pub value: bool,
    /// Whether it has to be there.
    pub need: Need,
}

/// Whether an option has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It may be left out.
    Optional,
    /// It must be given.
    Required,
    /// Exactly one of those marked so must be given.
    OneOf,
}

/// An option with a value that may be left out.
pub const fn opt(short: &'static str, long: &'static str, about: &'static str) -> Opt {
    Opt { short, long, about, value: true, need: Need::Optional }
}

/// An option with a value that must be given.
pub const fn required(short: &'static str, long: &'static str, about: &'static str) -> Opt {
    Opt { short, long, about, value: true, need: Need::Required }
}

/// An option with a value of which exactly one must be given.
pub const fn one_of(short: &'static str, long: &'static str, about: &'static str) -> Opt {
    Opt { short, long, about, value: true, need: Need::OneOf }
}

/// An option without a value.
pub const fn flag(short: &'static str, long: &'static str, about: &'static str) -> Opt {
    Opt { short, long, about, value: false, need: Need::Optional }
}

/// What every command has.
pub const COMMON: &[Opt] = &[
    flag("h", "help", "Print help"),
    opt("n", "namesrvAddr", "Name server address list, eg: '192.168.0.1:9876;192.168.0.2:9876'"),
];

impl Opt {
    /// What it is known by: its letter, else its name.
    fn key(&self) -> &'static str {
        if self.short.is_empty() { self.long } else { self.short }
    }
}

/// The options that were given, by letter (by name where they have none).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given(BTreeMap<&'static str, String>);

impl Given {
    /// The trimmed value of an option; the first one where it was given twice.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|v| v.trim())
    }

    /// Whether it was given.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Help.
    Help,
    /// To be run.
    Given(Given),
}

/// Reads arguments. The error is commons-cli's message.
pub fn parse(options: &[Opt], args: &[String]) -> Result<Parsed, String> {
    let all: Vec<&Opt> = options.iter().chain(COMMON).collect();
    let mut given = Given::default();
    let mut chosen: Option<&Opt> = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        // Apache's commands look at no positional arguments.
        let Some((option, attached)) = find(&all, arg)? else { continue };
        if option.need == Need::OneOf {
            if let Some(first) = chosen.filter(|o| o.key() != option.key()) {
                return Err(format!(
                    "The option '{}' was specified but an option from this group has already been selected: '{}'",
                    option.key(),
                    first.key()
                ));
            }
            chosen = Some(option);
        }
        let value = match (option.value, attached) {
            (true, None) => match rest.clone().next() {
                Some(next) if !looks_like_option(&all, next) => rest.next().cloned().unwrap_or_default(),
                _ => return Err(format!("Missing argument for option: {}", option.key())),
            },
            (_, attached) => attached.unwrap_or_default(),
        };
        given.0.entry(option.key()).or_insert(value);
    }
    if given.has("h") {
        return Ok(Parsed::Help);
    }
    let mut missing: Vec<String> = options
        .iter()
        .filter(|o| o.need == Need::Required && !given.has(o.key()))
        .map(|o| o.key().to_owned())
        .collect();
    let group: Vec<&Opt> = options.iter().filter(|o| o.need == Need::OneOf).collect();
    if !group.is_empty() && chosen.is_none() {
        let shown: Vec<_> = group.iter().map(|o| format!("-{} {}", o.short, o.about)).collect();
        missing.insert(0, format!("[{}]", shown.join(", ")));
    }
    match missing.len() {
        0 => Ok(Parsed::Given(given)),
        1 => Err(format!("Missing required option: {}", missing.concat())),
        _ => Err(format!("Missing required options: {}", missing.join(", "))),
    }
}

/// The option that an argument is, and a value in the same argument. `None` for a positional argument.
fn find<'a>(all: &[&'a Opt], arg: &str) -> Result<Option<(&'a Opt, Option<String>)>, String> {
    let Some(body) = arg.strip_prefix('-').filter(|b| !b.is_empty() && *b != "-") else { return Ok(None) };
    let unknown = || format!("Unrecognized option: {arg}");
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (body, None),
    };
    let double = name.strip_prefix('-');
    let name = double.unwrap_or(name);
    let exact = all.iter().find(|o| o.long == name || (double.is_none() && o.short == name));
    if let Some(option) = exact {
        return if value.is_some() && !option.value { Err(unknown()) } else { Ok(Some((option, value))) };
    }
    let begun: Vec<_> = all.iter().filter(|o| o.long.starts_with(name)).collect();
    match begun[..] {
        [option] => return Ok(Some((option, value))),
        [] => {}
        _ => {
            let could: Vec<_> = begun.iter().map(|o| format!("'{}'", o.long)).collect();
            return Err(format!("Ambiguous option: '{arg}'  (could be: {})", could.join(", ")));
        }
    }
    // -tTopic
    let letter = body.chars().next().map(|c| &body[..c.len_utf8()]).unwrap_or_default();
    match all.iter().find(|o| double.is_none() && o.value && o.short == letter) {
        Some(option) => Ok(Some((option, Some(body[letter.len()..].to_owned())))),
        None => Err(unknown()),
    }
}

/// Whether an argument is an option rather than a value: `-1` and `-key` of attributes are values.
fn looks_like_option(all: &[&Opt], arg: &str) -> bool {
    matches!(find(all, arg), Ok(Some(_)))
}

/// A command's help.
pub fn help(command: &str, options: &[Opt]) -> String {
    let mut all: Vec<&Opt> = options.iter().chain(COMMON).collect();
    all.sort_by_key(|o| o.key().to_ascii_lowercase());
    let mut out = String::new();
    wrap(&usage(command, &all), USAGE_INDENT, &mut out);
    let left = |o: &Opt| {
        let names = if o.short.is_empty() {
            format!("    --{}", o.long)
        } else {
            format!(" -{},--{}", o.short, o.long)
        };
        if o.value { format!("{names} <arg>") } else { names }
    };
    let column = all.iter().map(|o| left(o).len()).max().unwrap_or(0) + 3;
    for option in all {
        wrap(&format!("{:<column$}{}", left(option), option.about), column, &mut out);
    }
    out
}

fn usage(command: &str, all: &[&Opt]) -> String {
    let shown = |o: &Opt| {
        let name = if o.short.is_empty() { format!("--{}", o.long) } else { format!("-{}", o.short) };
        if o.value { format!("{name} <arg>") } else { name }
    };
    let group: Vec<String> = all.iter().filter(|o| o.need == Need::OneOf).map(|o| shown(o)).collect();
    let mut parts = vec![format!("usage: mqadmin {command}")];
    let mut group_shown = false;
    for option in all {
        match option.need {
            Need::Optional => parts.push(format!("[{}]", shown(option))),
            Need::Required => parts.push(shown(option)),
            Need::OneOf if group_shown => {}
            Need::OneOf => {
                group_shown = true;
                // commons-cli leaves two blanks after a group.
                parts.push(format!("{} ", group.join(" | ")));
            }
        }
    }
    parts.join(" ")
}

/// Appends `text` in lines of [`WIDTH`], broken at blanks, all but the first one indented.
fn wrap(text: &str, indent: usize, out: &mut String) {
    let mut line = text.to_owned();
    loop {
        if line.len() <= WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            return;
        }
        let head = line.get(..=WIDTH).unwrap_or(&line);
        let at = head.rfind(' ').filter(|at| *at > indent).unwrap_or(WIDTH);
        out.push_str(line[..at].trim_end());
        out.push('\n');
        line = format!("{:indent$}{}", "", line[at..].trim_start());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[
        one_of("b", "brokerAddr", "create topic to which broker"),
        one_of("c", "clusterName", "create topic to which cluster"),
        opt("a", "attributes", "attribute(+a=b,+c=d,-e)"),
        required("t", "topic", "topic name"),
        flag("l", "list", "Use list format to print data"),
        opt("", "more", "without a letter"),
    ];

    fn args(line: &str) -> Vec<String> {
        line.split(' ').filter(|a| !a.is_empty()).map(str::to_owned).collect()
    }

    /// `key=value` of what is found.
    fn check(line: &str, expected: Result<&str, &str>) {
        let shown = parse(OPTIONS, &args(line)).map(|parsed| match parsed {
            Parsed::Help => "help".to_owned(),
            Parsed::Given(given) => {
                given.0.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
            }
        });
        assert_eq!(shown.as_ref().map(String::as_str).map_err(String::as_str), expected, "{line}");
    }

    #[test]
    fn every_form_is_read() {
        for form in ["-t x", "-tx", "-t=x", "--topic x", "--topic=x", "-topic x", "-topic=x", "--top x"] {
            check(&format!("{form} -b 1"), Ok("b=1 t=x"));
        }
        check("-t x -b 1 -l -a +k=v,-d", Ok("a=+k=v,-d b=1 l= t=x"));
        check("-t x -b 1 -a -key", Ok("a=-key b=1 t=x"));
        check("-t x -c C --more y -n 127.0.0.1:9876;b:1", Ok("c=C more=y n=127.0.0.1:9876;b:1 t=x"));
        check("-t x -t y -b 1 positional", Ok("b=1 t=x"));
        check("-h", Ok("help"));
    }

    /// The messages are commons-cli's.
    #[test]
    fn what_is_wrong_is_said() {
        check("-b 1", Err("Missing required option: t"));
        check(
            "-t x",
            Err(
                "Missing required option: [-b create topic to which broker, -c create topic to which cluster]",
            ),
        );
        check(
            "",
            Err(
                "Missing required options: [-b create topic to which broker, -c create topic to which cluster], t",
            ),
        );
        check(
            "-t x -b 1 -c 2",
            Err("The option 'c' was specified but an option from this group has already been selected: 'b'"),
        );
        check("-t x -b 1 -q", Err("Unrecognized option: -q"));
        check("-t x -b 1 --list=y", Err("Unrecognized option: --list=y"));
        check("-b 1 -t", Err("Missing argument for option: t"));
        check("-t -b 1", Err("Missing argument for option: t"));
    }

    #[test]
    fn help_has_the_layout_of_commons_cli() {
        let text = help("updateTopic", &OPTIONS[..5]);
        let expected = "usage: mqadmin updateTopic [-a <arg>] -b <arg> | -c <arg>  [-h] [-l] [-n <arg>] -t <arg>\n \
            -a,--attributes <arg>    attribute(+a=b,+c=d,-e)\n \
            -b,--brokerAddr <arg>    create topic to which broker\n \
            -c,--clusterName <arg>   create topic to which cluster\n \
            -h,--help                Print help\n \
            -l,--list                Use list format to print data\n \
            -n,--namesrvAddr <arg>   Name server address list, eg: '192.168.0.1:9876;192.168.0.2:9876'\n \
            -t,--topic <arg>         topic name\n";
        assert_eq!(text, expected);
        let long = Opt {
            about: "word word word word word word word word word word word word word word word word word word word word",
            ..OPTIONS[3]
        };
        let text = help("x", &[long]);
        assert!(text.lines().all(|l| l.len() <= WIDTH), "{text}");
        assert!(text.contains("\n                          word"), "{text}");
    }
}
