//! The built-in corpus splits into the documents that its description promises.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::Read;
use std::path::Path;

use aneal_golf::documents::{DocumentSeparator, held_out_start, split_documents};

#[test]
fn the_built_in_corpus_splits_as_described() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    let file = std::fs::File::open(assets.join("default-corpus.txt.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), 3_797_659);

    let documents = split_documents(&text, DocumentSeparator::Auto);
    assert_eq!(documents.len(), 438);
    let (training, held_out) = documents.split_at(held_out_start(&documents, 5));
    let size = |part: &[&str]| (part.len(), part.iter().map(|d| d.len()).sum::<usize>());
    assert_eq!(size(training), (412, 3_601_728));
    assert_eq!(size(held_out), (26, 191_997));
}
