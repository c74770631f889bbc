//! Tokio's worker has thread-local destructors in this library. Unloading it under a running
//! worker would leave them pointing nowhere, so the loader is told to keep it.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
