//! Lets the trainer and its tests find libtorch without LD_LIBRARY_PATH.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A package puts libtorch beside the binary.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/libtorch");
    // torch-sys says which libtorch it was compiled against: a binary that is run where it was built uses that one.
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        let lib = std::fs::canonicalize(&lib).unwrap_or_else(|_| lib.into());
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    }
}
