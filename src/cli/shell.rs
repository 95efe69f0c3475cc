//! `hookfan completions` and `hookfan man`: what a package puts beside the
//! binary, made from the command line itself.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Command, Exit, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookfan completions bash > /etc/bash_completion.d/hookfan
  hookfan completions zsh > ~/.zfunc/_hookfan
  hookfan completions fish > ~/.config/fish/completions/hookfan.fish

For zsh, ~/.zfunc must stand in fpath.")]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Command::command(), "hookfan", &mut text);
        print(&text)
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookfan man | man -l -
  hookfan man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// A folder for hookfan.1 and a page for every verb; absent: hookfan.1 is
    /// printed
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let Some(dir) = self.dir else {
            let mut text = Vec::new();
            clap_mangen::Man::new(Command::command()).render(&mut text)?;
            return print(&text);
        };
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        clap_mangen::generate_to(Command::command(), &dir)
            .with_context(|| dir.display().to_string())?;
        Ok(Exit::Ok)
    }
}

fn print(text: &[u8]) -> anyhow::Result<Exit> {
    say(String::from_utf8_lossy(text).trim_end());
    Ok(Exit::Ok)
}
