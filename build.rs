//! Compiles `csrc/` against the headers of the interpreter that the extension is built for.
//!
//! Python's own headers are the one authority on where its structures keep their fields, so whatever
//! reads them without a public accessor is C. No torch is needed here: what the extension uses of torch
//! is found at import.

use std::path::PathBuf;
use std::process::Command;

/// Asks `executable` for its include directory, or explains why that did not work.
fn include_directory(executable: &str) -> Result<PathBuf, String> {
    let script = "import sysconfig; print(sysconfig.get_path('include'), end='')";
    let output = Command::new(executable)
        .args(["-c", script])
        .output()
        .map_err(|error| format!("could not run {executable}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{executable} did not say where its headers are"));
    }
    let include = PathBuf::from(String::from_utf8_lossy(&output.stdout).into_owned());
    if include.join("Python.h").is_file() {
        Ok(include)
    } else {
        Err(format!(
            "no Python.h in {}: install Python's development headers",
            include.display()
        ))
    }
}

fn main() -> Result<(), String> {
    pyo3_build_config::use_pyo3_cfgs();
    let config = pyo3_build_config::get();
    let version = config.version();
    if version.major != 3 || !(11..=13).contains(&version.minor) {
        return Err(format!("framelift supports CPython 3.11 to 3.13, not {version}"));
    }

    let executable = match config.executable() {
        Some(path) => path.to_owned(),
        None => std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "python3".to_owned()),
    };
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    println!("cargo:rerun-if-changed=csrc");
    cc::Build::new()
        .file("csrc/decide.c")
        .file("csrc/generator.c")
        .file("csrc/layout.c")
        .file("csrc/recursion.c")
        .file("csrc/resume.c")
        .file("csrc/shim.c")
        .file("csrc/step.c")
        .file("csrc/step_calls.c")
        .file("csrc/step_containers.c")
        .file("csrc/step_control.c")
        .file("csrc/step_exceptions.c")
        .file("csrc/step_objects.c")
        .file("csrc/step_places.c")
        // Not -isystem: gcc would follow Debian's links to the headers of the build without assertions.
        .include(include_directory(&executable)?)
        .flag("-std=c11")
        .flag("-Wall")
        .flag("-Wextra")
        .compile("framelift_csrc");
    Ok(())
}
