//! Files that were damaged as people and disks do it: by a seed, so that a failure can be repeated.

/// What is put into files.
const PIECES: [&str; 24] = [
    "\"",
    "'",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    "\n",
    "#",
    "\\",
    "\u{0}",
    "\u{e9}",
    "\u{1F300}",
    "{env:X}",
    "{env:",
    "true",
    "-1",
    "99999999999999999999",
    "inf",
    "1979-05-27",
    "[site]\n",
    "[[site.route]]\n",
    "\"\"\"",
];

/// `text` with one to four pieces of damage.
pub(crate) fn damaged(text: &str, seed: u64) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(3) {
        let at = dice.below(chars.len());
        match dice.below(5) {
            0 => drop(chars.drain(at..(at + 1 + dice.below(20)).min(chars.len()))),
            1 => drop(chars.splice(at..at, PIECES[dice.below(PIECES.len())].chars())),
            2 => {
                let copied: Vec<char> = chars[at..(at + dice.below(200)).min(chars.len())].to_vec();
                let to = dice.below(chars.len());
                chars.splice(to..to, copied);
            }
            3 => {
                let other = dice.below(chars.len());
                chars.swap(at, other);
            }
            _ => damage_a_line(&mut chars, &mut dice),
        }
    }
    chars.into_iter().collect()
}

/// Takes a line away, or writes it twice.
fn damage_a_line(chars: &mut Vec<char>, dice: &mut Dice) {
    let text: String = chars.iter().collect();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let at = dice.below(lines.len());
    match dice.below(2) {
        0 => drop(lines.remove(at)),
        _ => lines.insert(at, lines[at]),
    }
    *chars = lines.concat().chars().collect();
}

/// xorshift64.
struct Dice(u64);

impl Dice {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or(0)
    }
}
