#![allow(unsafe_code)]
mod support;
use groundcrew_core::ports::Notifier;
use groundcrew_plugins::{Runtime, RuntimeOptions};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Instant;
use support::notifier::*;

#[tokio::test]
async fn probe() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("c");
    for round in 0..12 {
        let t = Instant::now();
        let rt = Runtime::new(RuntimeOptions { cache_dir: Some(cache.clone()) }).unwrap();
        let t1 = t.elapsed();
        let t = Instant::now();
        let n = rt.load_notifier(ams_case(json!({}), Arc::new(Counter::default()))).await.unwrap();
        let t2 = t.elapsed();
        let t = Instant::now();
        n.notify(&notification()).await.unwrap();
        let t3 = t.elapsed();
        let t = Instant::now();
        n.notify(&notification()).await.unwrap();
        let t4 = t.elapsed();
        let t = Instant::now();
        let p = rt.load_policy(support::managed_tag(json!({}))).await.unwrap();
        let t5 = t.elapsed();
        drop(p);
        eprintln!(
            "{round}: runtime {t1:?} load {t2:?} notify {t3:?} again {t4:?} managed-tag load {t5:?}"
        );
    }
    // parts
    let entry = std::fs::read_dir(&cache)
        .unwrap()
        .map(|e| e.unwrap().path())
        .max_by_key(|p| p.metadata().unwrap().len())
        .unwrap();
    let mut config = wasmtime::Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    for _ in 0..6 {
        let t = Instant::now();
        let bytes = std::fs::read(&entry).unwrap();
        let a = t.elapsed();
        let t = Instant::now();
        let d = Sha256::digest(&bytes);
        let b = t.elapsed();
        let engine = wasmtime::Engine::new(&config).unwrap();
        let t = Instant::now();
        let c = unsafe { wasmtime::component::Component::deserialize(&engine, &bytes[32..]) };
        let c1 = t.elapsed();
        eprintln!(
            "size {} read {a:?} sha {b:?} deserialize {c1:?} ok {} {}",
            bytes.len(),
            c.is_ok(),
            d[0]
        );
    }
}
