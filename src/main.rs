//! The `kolk` program: a command line around the library, nothing that the library keeps to itself.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
