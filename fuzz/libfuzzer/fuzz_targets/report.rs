#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = (muster_fuzz::target("report").expect("it is there").run)(bytes);
});
