//! `kolk top`: how a server does, on a terminal, while it does it.
//!
//! ```text
//!  admin listener ──metrics──► Page ──► Figures (between two of them) ──► Screen ──► terminal
//! ```
//! Reads what Prometheus reads, and asks for nothing else: it can look at any kolk whose admin listener it
//! reaches, and costs that one page each time. Leaves the terminal as it was, whatever happens: also a signal
//! ends it only behind that, and then as if it had not been caught.

mod figures;
mod page;
mod screen;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

use super::clock;
use super::failure::{Exit, Failure};
use super::question::Question;
use figures::Figures;
use page::Page;
use screen::Screen;

/// What is asked for where nobody says it.
pub(crate) const WHOM: &str =
    "whom to watch? kolk top HOST:PORT, the server's --admin, or -c FILE, which has it";
/// Where the page is.
const PATH: &str = "/_kolk/metrics";
/// For one page.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether a signal has come.
const GLANCE: Duration = Duration::from_millis(100);
/// What is printed where there is no terminal, in columns and lines.
const PRINTED: (u16, u16) = (110, 45);

/// Shows the server whose admin listener is at `address`, every `interval`, until the user has seen enough.
/// `once`: one look, as text.
pub(crate) fn top(address: &str, interval: Duration, once: bool) -> Result<String, Failure> {
    let question = Question::parse(address)?.for_path(PATH);
    let mut watch = Watch::begin(question, interval)?;
    if once || !io::stdout().is_terminal() {
        wait(interval);
        watch.look();
        return Ok(text_of(&watch.screen, PRINTED.0, PRINTED.1));
    }
    on_terminal(watch).map(|()| String::new()).map_err(|error| Failure::cannot("use the terminal", &error))
}

/// Shows it until a key or a signal ends it.
fn on_terminal(mut watch: Watch) -> io::Result<()> {
    let told = Arc::new(AtomicUsize::new(0));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        flag::register_usize(signal, Arc::clone(&told), usize::try_from(signal).unwrap_or_default())?;
    }
    let mut terminal = ratatui::try_init()?;
    let shown = watch.show(&mut terminal, &told);
    // Shows the cursor.
    drop(terminal);
    ratatui::restore();
    match i32::try_from(told.load(Relaxed)) {
        Ok(signal @ 1..) => low_level::emulate_default_handler(signal),
        _ => shown,
    }
}

/// A server that is looked at again and again.
struct Watch {
    question: Question,
    interval: Duration,
    before: Page,
    before_at: Instant,
    screen: Screen,
}

impl Watch {
    /// The first look, which must succeed: later a server may be away for a while.
    fn begin(question: Question, interval: Duration) -> Result<Self, Failure> {
        let page = ask(&question).map_err(|why| {
            Failure::new(
                Exit::Runtime,
                format!("cannot look at {question}: {why}: is it an admin listener (--admin)?"),
            )
        })?;
        let screen = Screen::new(question.address());
        Ok(Self { question, interval, before: page, before_at: clock::now(), screen })
    }

    fn look(&mut self) {
        match ask(&self.question) {
            Ok(page) => {
                let at = clock::now();
                self.screen.update(Figures::between(&self.before, &page, at - self.before_at));
                (self.before, self.before_at) = (page, at);
            }
            Err(why) => self.screen.trouble(why),
        }
    }

    /// Until a key ends it, or a signal is `told`.
    fn show(&mut self, terminal: &mut DefaultTerminal, told: &AtomicUsize) -> io::Result<()> {
        loop {
            terminal.draw(|frame| frame.render_widget(&self.screen, frame.area()))?;
            let next = clock::now() + self.interval;
            loop {
                if told.load(Relaxed) != 0 {
                    return Ok(());
                }
                let left = next.saturating_duration_since(clock::now());
                if left.is_zero() {
                    break;
                }
                if !event::poll(left.min(GLANCE))? {
                    continue;
                }
                match event::read()? {
                    Event::Key(key) if ends(key) => return Ok(()),
                    Event::Resize(..) => {
                        terminal.draw(|frame| frame.render_widget(&self.screen, frame.area()))?;
                    }
                    _ => {}
                }
            }
            self.look();
        }
    }
}

/// Nobody is kept waiting but the user, who asked for it.
#[expect(clippy::disallowed_methods, reason = "the program's own thread, which has nothing else to do")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn ends(key: KeyEvent) -> bool {
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

fn ask(question: &Question) -> Result<Page, String> {
    let text = question.page(clock::now() + PATIENCE).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer within {} s", PATIENCE.as_secs())
        }
        _ => error.to_string(),
    })?;
    let page = Page::parse(&text);
    if page.is_ours() { Ok(page) } else { Err("these are no metrics of kolk".into()) }
}

/// What `widget` draws, without colors.
fn text_of(widget: impl Widget, columns: u16, lines: u16) -> String {
    let area = Rect::new(0, 0, columns, lines);
    let mut buffer = Buffer::empty(area);
    widget.render(area, &mut buffer);
    let line =
        |y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
    let text: String = (0..lines).map(line).collect();
    text.trim_end_matches('\n').to_owned() + "\n"
}
