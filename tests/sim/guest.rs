//! [`Guest`]: a client of either version, as the world sees it.

use kolk::base::Tick;

use crate::client::Client;
use crate::dice::Dice;
use crate::multi::Multi;
use crate::net::{Pipe, Shared};

#[derive(Debug)]
pub(crate) enum Guest {
    /// One exchange at a time.
    Single(Client),
    /// HTTP/2.
    Multi(Multi),
}

impl Guest {
    pub(crate) fn pipe(&self) -> &Shared<Pipe> {
        match self {
            Self::Single(client) => &client.pipe,
            Self::Multi(client) => &client.pipe,
        }
    }

    pub(crate) fn accepted_at(&mut self) -> &mut Option<Tick> {
        match self {
            Self::Single(client) => &mut client.accepted_at,
            Self::Multi(client) => &mut client.accepted_at,
        }
    }

    pub(crate) fn is_accepted(&self) -> bool {
        match self {
            Self::Single(client) => client.accepted_at.is_some(),
            Self::Multi(client) => client.accepted_at.is_some(),
        }
    }

    pub(crate) fn answers(&self) -> usize {
        match self {
            Self::Single(client) => client.answers,
            Self::Multi(client) => client.answers,
        }
    }

    pub(crate) fn act(&mut self, now: Tick, dice: &mut Dice, calm: bool) -> Result<usize, String> {
        match self {
            Self::Single(client) => client.act(now, dice, calm),
            Self::Multi(client) => client.act(now, dice, calm),
        }
    }

    pub(crate) fn wants(&self, now: Tick) -> Tick {
        match self {
            Self::Single(client) => client.wants(now),
            Self::Multi(client) => client.wants(now),
        }
    }

    pub(crate) fn verdict(&self, calm: bool, gentle: bool) -> Result<(), String> {
        match self {
            Self::Single(client) => client.verdict(calm, gentle),
            Self::Multi(client) => client.verdict(calm, gentle),
        }
    }

    /// Who it is and what it wants.
    pub(crate) fn tell(&self, number: usize) {
        match self {
            Self::Single(client) => {
                eprintln!("client {number}: {:?}", client.manner);
                for request in &client.script.requests {
                    let mut expected = format!("{:?}", request.expected);
                    expected.truncate(60);
                    eprintln!("    {} {expected}", request.label);
                }
            }
            Self::Multi(client) => {
                eprintln!("client {number}: {:?}", client.manner);
                client.tell();
            }
        }
    }
}
