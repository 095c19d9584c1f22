//! One Lua process for each target that needs Prosody's own code: it answers line by line, as long as the target runs.

use std::{
    cell::RefCell,
    env,
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Prosody's Lua. The program that Prosody's own first line names runs it.
struct Lua {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

thread_local! {
    static LUA: RefCell<Option<Lua>> = const { RefCell::new(None) };
}

/// What the question `name` of `lua/twins.lua` is answered with; `None` for nil.
///
/// # Panics
/// If there is no Prosody, or it threw an error.
pub(crate) fn ask(name: &str, arguments: &[&str]) -> Option<String> {
    ask_bytes(name, arguments).map(|bytes| String::from_utf8(bytes).expect("Prosody made text of text"))
}

fn ask_bytes(name: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    LUA.with_borrow_mut(|lua| lua.get_or_insert_with(Lua::start).ask(name, arguments))
}

/// Where Prosody's Lua is, and the program: of the series in `SIPPO_PROSODY` if scripts have fetched it, else the system's.
fn prosody() -> (PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fetched = env::var("SIPPO_PROSODY").ok().map(|series| root.join(format!("target/prosody-{series}")));
    match fetched.filter(|folder| folder.exists()) {
        Some(folder) => (folder.join("usr/lib/prosody"), folder.join("prosody")),
        None => ("/usr/lib/prosody".into(), "/usr/bin/prosody".into()),
    }
}

impl Lua {
    fn start() -> Self {
        let (library, program) = prosody();
        let text = std::fs::read_to_string(&program)
            .unwrap_or_else(|error| panic!("{}: {error}; install prosody, as scripts/test does", program.display()));
        let first = text.lines().next().unwrap_or_default();
        let interpreter = first.rsplit(['/', ' ']).next().unwrap_or_default();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(interpreter)
            .arg(here.join("lua/twins.lua"))
            .args([library, here.join("../../xmpp-server/modules")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{interpreter}, which Prosody runs with: {error}"));
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let answers = BufReader::new(answers.expect("it is a pipe"));
        Self { child, questions: questions.expect("it is a pipe"), answers }
    }

    fn ask(&mut self, name: &str, arguments: &[&str]) -> Option<Vec<u8>> {
        let mut line = name.to_owned();
        for argument in arguments {
            line.push_str(" x");
            for byte in argument.bytes() {
                let _ = write!(line, "{byte:02x}");
            }
        }
        line.push('\n');
        let mut answer = String::new();
        let asked = self.questions.write_all(line.as_bytes()).and_then(|()| self.answers.read_line(&mut answer));
        assert!(asked.is_ok_and(|length| length > 0), "Lua ended ({:?}) at: {line}", self.child.try_wait());
        let digits = answer.trim_end().strip_prefix('x')?;
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
        Some((0..digits.len()).step_by(2).map(byte).collect())
    }
}

impl Drop for Lua {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
