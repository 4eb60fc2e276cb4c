//! The folder that runs leave their files in: CSV and JSON of each, and one picture of all.
//!
//! Belongs here: names of files, and writing and reading them whole. Not here: what is in them.
//! Invariant: a file appears under its name complete or not at all.

use super::outcome::{Outcome, order_text, task_text};
use super::{Order, Task, curves};
use crate::cli::failure::Failure;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// All that can be run, as the picture shows it from left to right.
const ALL: [Task; 4] = [
    Task::Centralized,
    Task::Distributed(Order::Best),
    Task::Distributed(Order::WorstOrder),
    Task::Distributed(Order::WorstRelay),
];

/// The picture's file name.
const PICTURE: &str = "curves.svg";

/// The folder.
pub(super) struct Folder(PathBuf);

/// Where a run's files lie.
#[derive(Debug)]
pub(super) struct Files {
    /// Every download.
    pub(super) csv: PathBuf,
    /// The picture of all runs in the folder.
    pub(super) svg: PathBuf,
}

impl Folder {
    /// Makes the folder if it is not there, and proves that it can be written to before a run takes its time.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let fault = |error| Failure::io(format_args!("--out {}", path.display()), &error);
        fs::create_dir_all(path).map_err(fault)?;
        tempfile::tempfile_in(path).map_err(fault)?;
        Ok(Self(path.to_owned()))
    }

    /// Writes the files of a run and draws the picture anew.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn keep(&self, outcome: &Outcome) -> Result<Files, Failure> {
        let task = outcome.summary.task;
        let files = Files {
            csv: self.path(task, "csv"),
            svg: self.0.join(PICTURE),
        };
        let json = self.path(task, "json");
        // The old summary goes first: rows and summary of two different runs must never meet.
        if let Err(error) = fs::remove_file(&json)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(Failure::io(json.display(), &error));
        }
        write_whole(&files.csv, &outcome.to_csv())?;
        write_whole(&json, &format!("{}\n", outcome.summary.to_json()))?;
        write_whole(&files.svg, &curves::draw(&self.runs())?)?;
        Ok(files)
    }

    /// Every run whose files are here; one that cannot be read is named on stderr and left out.
    fn runs(&self) -> Vec<Outcome> {
        let mut runs = Vec::new();
        for task in ALL {
            let (csv, json) = (self.path(task, "csv"), self.path(task, "json"));
            let texts = fs::read_to_string(&csv).and_then(|rows| Ok((rows, fs::read_to_string(&json)?)));
            let read = match texts {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Err(error.to_string()),
                Ok((rows, summary)) => Outcome::parse(&rows, &summary, task),
            };
            match read {
                Ok(outcome) => runs.push(outcome),
                Err(fault) => eprintln!("p2pdi: {}: {fault}; left out of the picture", csv.display()),
            }
        }
        runs
    }

    fn path(&self, task: Task, extension: &str) -> PathBuf {
        let order = order_text(task)
            .map(|order| format!("-{order}"))
            .unwrap_or_default();
        self.0.join(format!("{}{order}.{extension}", task_text(task)))
    }
}

fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let fault = |error: &io::Error| Failure::io(path.display(), error);
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        // As any new file: the caller's umask decides.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(|error| fault(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| fault(&error))?;
    file.persist(path).map_err(|error| fault(&error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::made_up;
    use super::*;

    #[test]
    fn the_picture_has_every_readable_run_of_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::create(&place.path().join("new/one")).unwrap();
        let first = made_up(Task::Centralized, 2, 0.0, 20.0, 18.0);
        let files = folder.keep(&first).unwrap();
        let second = made_up(Task::Distributed(Order::Best), 1, 0.0, 5.0, 4.0);
        assert!(folder.keep(&second).unwrap().csv.ends_with("task2-best.csv"));
        assert_eq!(folder.runs().len(), 2);
        let svg = fs::read_to_string(&files.svg).unwrap();
        assert!(svg.contains("Centralized") && svg.contains("best order"));

        fs::write(&files.csv, "something else").unwrap();
        assert_eq!(folder.runs().len(), 1);
        folder.keep(&second).unwrap();
        assert!(!fs::read_to_string(&files.svg).unwrap().contains("Centralized"));
        assert_eq!(
            fs::read_dir(place.path().join("new/one")).unwrap().count(),
            5,
            "no file half written"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Folder::create(&file).is_err_and(|failure| failure.text.contains("--out")));
    }
}
