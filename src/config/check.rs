//! What has to do with each other, across tables: hosts.

use super::Root;
use super::place::Placed;
use super::problem::Problem;
use super::read::{FromText, Reader};

/// Notes everything that is wrong between the tables of `root`.
pub(super) fn check(root: &Root, reader: &mut Reader<'_>) {
    hosts(root, reader);
}

fn hosts(root: &Root, reader: &mut Reader<'_>) {
    let mut known: Vec<&Placed<super::message::Host>> = Vec::new();
    for host in root.site.iter().flat_map(|site| &site.hosts.value) {
        match known.iter().find(|other| other.value == host.value) {
            Some(first) => {
                let message = format!("the host `{}` is there twice", host.value.text());
                let problem = Problem::at(&host.origin, message);
                reader.problems.push(problem.other(first.place(), "here, too"));
            }
            None => known.push(host),
        }
    }
}
