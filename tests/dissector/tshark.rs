//! Runs `tshark` with our dissector.

use crate::capture::Capture;
use std::process::{Command, Stdio};

/// A `tshark` that is there.
pub(crate) struct Tshark {
    decode_as: Option<&'static str>,
}

impl Tshark {
    /// The installed one; where there is none, says so.
    pub(crate) fn find() -> Option<Self> {
        let found = Command::new("tshark")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_ok_and(|status| status.success()) {
            return Some(Self { decode_as: None });
        }
        eprintln!("tshark is not installed: the dissector is not tested here");
        None
    }

    /// The same, told which dissector a port belongs to.
    pub(crate) fn decode_as(self, rule: &'static str) -> Self {
        Self {
            decode_as: Some(rule),
        }
    }

    /// One row a packet, one column a field; several values in a packet are joined by commas.
    pub(crate) fn fields(&self, capture: &Capture, fields: &[&str]) -> Vec<Vec<String>> {
        let script = concat!("lua_script:", env!("CARGO_MANIFEST_DIR"), "/tools/p2pdi.lua");
        let mut command = Command::new("tshark");
        command.args(["-n", "-X", script, "-r"]).arg(capture.path());
        command.args([
            "-T",
            "fields",
            "-E",
            "separator=/t",
            "-E",
            "occurrence=a",
            "-E",
            "aggregator=,",
        ]);
        if let Some(rule) = self.decode_as {
            command.args(["-d", rule]);
        }
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.output().expect("tshark starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("Lua"), "tshark: {said}");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines()
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect()
    }
}
