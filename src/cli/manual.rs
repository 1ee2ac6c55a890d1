//! What the definition of the command line gives besides its help: completions for shells, and a man page.

use std::io::{self, Write as _};

use clap_complete::Shell;
use clap_mangen::Man;

use super::args::{AFTER_HELP, Args};

/// The completions for `shell`.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::line(), "kolk", &mut script);
    script
}

/// The page, in roff: one for all commands.
///
/// # Errors
/// None that can be: it is written to memory.
pub(crate) fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let command = Args::line();
    let whole = Man::new(command.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    for part in command.get_subcommands() {
        writeln!(page, ".SH \"KOLK {}\"", part.get_name().to_uppercase())?;
        if let Some(about) = part.get_about() {
            writeln!(page, "{}", verbatim(&about.to_string()))?;
        }
        let mut options = Vec::new();
        Man::new(part.clone().disable_help_flag(true)).render_options_section(&mut options)?;
        let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS\n", "");
        page.write_all(options.as_bytes())?;
    }
    for block in AFTER_HELP.split("\n\n") {
        let (title, lines) = block.split_once(":\n").unwrap_or(("Notes", block));
        writeln!(page, ".SH {}\n.nf", title.to_uppercase())?;
        for line in lines.lines() {
            writeln!(page, "{}", verbatim(line.strip_prefix("  ").unwrap_or(line)))?;
        }
        writeln!(page, ".fi")?;
    }
    whole.render_version_section(&mut page)?;
    Ok(page)
}

/// `line` as roff prints it back.
fn verbatim(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}
