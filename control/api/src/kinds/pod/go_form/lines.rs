//! The difference of two texts by lines: the longest common run first, then what is left and right of it.
//!
//! That is Ratcliff and Obershelp's way, which Python's `difflib` made known and upstream uses. Lines that are common
//! in a long text do not start a run (they may extend one), as there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

const CONTEXT: usize = 3;
/// Texts from this length on have lines too common to start a run.
const LONG: usize = 200;

/// A run of equal lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    old: usize,
    new: usize,
    length: usize,
}

/// What to do with a piece of the old text to get the piece of the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    equal: bool,
    old: Range<usize>,
    new: Range<usize>,
}

/// Hunks with three lines of context, without a heading that names files.
pub(super) fn unified(old: &[&str], new: &[&str]) -> String {
    let mut out = String::new();
    for group in groups(&steps(old, new)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "@@ -{} +{} @@",
            extent(first.old.start..last.old.end),
            extent(first.new.start..last.new.end)
        );
        for step in &group {
            if step.equal {
                write_lines(&mut out, ' ', &old[step.old.clone()]);
            } else {
                write_lines(&mut out, '-', &old[step.old.clone()]);
                write_lines(&mut out, '+', &new[step.new.clone()]);
            }
        }
    }
    out
}

fn write_lines(out: &mut String, mark: char, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(out, "{mark}{line}");
    }
}

fn extent(range: Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        length => format!("{},{length}", range.start + 1),
    }
}

fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut at_old, mut at_new) = (0, 0);
    let end = Run { old: old.len(), new: new.len(), length: 0 };
    for run in runs(old, new).into_iter().chain([end]) {
        if at_old < run.old || at_new < run.new {
            steps.push(Step { equal: false, old: at_old..run.old, new: at_new..run.new });
        }
        (at_old, at_new) = (run.old + run.length, run.new + run.length);
        if run.length > 0 {
            steps.push(Step { equal: true, old: run.old..at_old, new: run.new..at_new });
        }
    }
    steps
}

/// All runs in order, neighbours joined.
fn runs(old: &[&str], new: &[&str]) -> Vec<Run> {
    let places = places(new);
    let mut found = Vec::new();
    let mut left = vec![(0..old.len(), 0..new.len())];
    while let Some((old_range, new_range)) = left.pop() {
        let run = longest(old, new, &places, &old_range, &new_range);
        if run.length == 0 {
            continue;
        }
        left.push((old_range.start..run.old, new_range.start..run.new));
        left.push((run.old + run.length..old_range.end, run.new + run.length..new_range.end));
        found.push(run);
    }
    found.sort_by_key(|run| (run.old, run.new));
    let mut joined: Vec<Run> = Vec::new();
    for run in found {
        match joined.last_mut() {
            Some(last) if last.old + last.length == run.old && last.new + last.length == run.new => {
                last.length += run.length;
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Where each line stands in the new text, without those that are too common in a long one.
fn places<'a>(new: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(index);
    }
    if new.len() >= LONG {
        let common = new.len() / 100 + 1;
        places.retain(|_, indices| indices.len() <= common);
    }
    places
}

/// The longest run in the two ranges; of several, the first in the old text, then in the new one.
fn longest(
    old: &[&str],
    new: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    old_range: &Range<usize>,
    new_range: &Range<usize>,
) -> Run {
    let mut best = Run { old: old_range.start, new: new_range.start, length: 0 };
    // Lengths of the runs that end at the line before, by their place in the new text.
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for index in old_range.clone() {
        let mut next = HashMap::new();
        let indices = places.get(old[index]).map(Vec::as_slice).unwrap_or_default();
        for &place in indices.iter().filter(|place| new_range.contains(place)) {
            let before = place.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0);
            let length = before + 1;
            next.insert(place, length);
            if length > best.length {
                best = Run { old: index + 1 - length, new: place + 1 - length, length };
            }
        }
        lengths = next;
    }
    // Common lines at the ends belong to the run as well.
    while best.old > old_range.start && best.new > new_range.start && old[best.old - 1] == new[best.new - 1] {
        best = Run { old: best.old - 1, new: best.new - 1, length: best.length + 1 };
    }
    while best.old + best.length < old_range.end
        && best.new + best.length < new_range.end
        && old[best.old + best.length] == new[best.new + best.length]
    {
        best.length += 1;
    }
    best
}

/// Steps cut into hunks: equal pieces shrink to their context.
fn groups(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut groups = Vec::new();
    let mut group: Vec<Step> = Vec::new();
    let count = steps.len();
    for (index, step) in steps.iter().enumerate() {
        if !step.equal {
            group.push(step.clone());
            continue;
        }
        let length = step.old.len();
        let (first, last) = (index == 0, index + 1 == count);
        let head = if first { 0 } else { length.min(CONTEXT) };
        let tail = if last { 0 } else { length.min(CONTEXT) };
        if !first && !last && length <= 2 * CONTEXT {
            group.push(step.clone());
            continue;
        }
        if head > 0 {
            group.push(piece(step, 0..head));
        }
        if group.iter().any(|step| !step.equal) {
            groups.push(std::mem::take(&mut group));
        }
        group.clear();
        if tail > 0 {
            group.push(piece(step, length - tail..length));
        }
    }
    if group.iter().any(|step| !step.equal) {
        groups.push(group);
    }
    groups
}

fn piece(step: &Step, range: Range<usize>) -> Step {
    Step {
        equal: true,
        old: step.old.start + range.start..step.old.start + range.end,
        new: step.new.start + range.start..step.new.start + range.end,
    }
}
