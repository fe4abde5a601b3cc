//! The tokenizer against the official SentencePiece library: committed vectors of three models, the
//! challenge's own model where it is at hand, and properties over any text.

// The lints know `#[test]` functions as tests, but not what they call.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::path::Path;

use aneal_golf::Error;
use aneal_golf::tokenizer::{ByteTable, StreamDecoder, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn read_json<T: DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn default_tokenizer() -> Tokenizer {
    Tokenizer::from_file(&aneal_testing::workspace().join("assets/default-tokenizer.model"))
        .unwrap()
}

fn stream_decode(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut decoder = StreamDecoder::new(tokenizer);
    let mut text: String = ids.iter().map(|&id| decoder.push(id)).collect();
    text.push_str(&decoder.finish());
    text
}

#[derive(Deserialize)]
struct Vectors {
    encode: Vec<(String, Vec<u32>, String)>,
    decode: Vec<(Vec<u32>, String)>,
}

fn check_vectors(tokenizer: &Tokenizer, name: &str) {
    let path = aneal_testing::workspace().join(format!("fixtures/tokenizer/{name}-vectors.json"));
    let vectors: Vectors = read_json(&path);
    assert!(vectors.encode.len() > 300 && vectors.decode.len() > 100);
    for (text, ids, decoded) in &vectors.encode {
        assert_eq!(&tokenizer.encode(text), ids, "{name}: {text:?}");
        assert_eq!(&tokenizer.decode(ids), decoded, "{name}: {text:?}");
        assert_eq!(&stream_decode(tokenizer, ids), decoded, "{name}: {text:?}");
    }
    for (ids, text) in &vectors.decode {
        assert_eq!(&tokenizer.decode(ids), text, "{name}: {ids:?}");
        assert_eq!(&stream_decode(tokenizer, ids), text, "{name}: {ids:?}");
    }
}

#[test]
fn the_built_in_model_equals_the_official_library() {
    check_vectors(&default_tokenizer(), "default");
}

#[test]
fn other_options_equal_the_official_library() {
    for name in ["symbols", "spaces"] {
        let path = aneal_testing::workspace().join(format!("fixtures/tokenizer/{name}.model"));
        check_vectors(&Tokenizer::from_file(&path).unwrap(), name);
    }
}

#[test]
fn the_built_in_model_has_the_challenge_s_layout() {
    let tokenizer = default_tokenizer();
    assert_eq!(tokenizer.vocab_size(), 1024);
    assert_eq!(tokenizer.bos_id(), Some(1));
    assert_eq!(tokenizer.eos_id(), Some(2));
    assert_eq!(tokenizer.unk_id(), Some(3));
    assert_eq!(tokenizer.piece(0), Some("<pad>"));
    assert_eq!(tokenizer.piece(4 + 0x41), Some("<0x41>"));
    assert_eq!(tokenizer.piece(1024), None);
    let digits: Vec<usize> = "0123456789"
        .chars()
        .map(|digit| (0..1024).filter(|&id| tokenizer.piece(id).unwrap().contains(digit)).count())
        .collect();
    // Each digit is one piece; the rest are names of byte pieces.
    for (digit, count) in digits.iter().enumerate() {
        let in_byte_names = (0..256).filter(|b| format!("0x{b:02X}").contains(&digit.to_string()));
        assert_eq!(*count, 1 + in_byte_names.count(), "digit {digit}");
    }
    assert_eq!(tokenizer.fingerprint(), default_tokenizer().fingerprint());
}

#[test]
fn the_challenge_s_golden_vectors_are_met() {
    #[derive(Deserialize)]
    struct Golden {
        vectors: Vec<Vector>,
    }
    #[derive(Deserialize)]
    struct Vector {
        text: String,
        ids: Vec<u32>,
        decoded: String,
    }
    let Some(model) = aneal_testing::third_party("golf_fineweb_1024_bpe.model") else { return };
    let Some(golden) = aneal_testing::third_party("sp1024_golden_vectors.json") else { return };
    let tokenizer = Tokenizer::from_file(&model).unwrap();
    let golden: Golden = read_json(&golden);
    assert_eq!(golden.vectors.len(), 39);
    for Vector { text, ids, decoded } in &golden.vectors {
        assert_eq!(&tokenizer.encode(text), ids, "{text:?}");
        assert_eq!(&tokenizer.decode(ids), decoded, "{text:?}");
    }
}

#[test]
fn the_challenge_s_first_validation_tokens_come_back() {
    #[derive(Deserialize)]
    struct Window {
        tokens: Vec<u32>,
    }
    let Some(model) = aneal_testing::third_party("golf_fineweb_1024_bpe.model") else { return };
    let Some(window) = aneal_testing::third_party("val_first_1025_tokens.json") else { return };
    let tokenizer = Tokenizer::from_file(&model).unwrap();
    let Window { tokens } = read_json(&window);
    assert_eq!(tokens.len(), 1025);

    let documents: Vec<&[u32]> = tokens.split(|&id| id == 1).filter(|d| !d.is_empty()).collect();
    assert_eq!(documents.len(), 2);
    for ids in &documents {
        assert_eq!(tokenizer.encode(&tokenizer.decode(ids)), *ids);
    }
    let first = tokenizer.decode(documents[0]);
    assert!(first.starts_with("Insurance Company Declares Living Man Dead"));
    assert_eq!(first.len(), 1339);

    let table = ByteTable::new(&tokenizer, 1024).unwrap();
    let bytes: u64 = tokens.windows(2).map(|pair| table.target_bytes(pair[0], pair[1])).sum();
    let decoded: usize = documents.iter().map(|ids| tokenizer.decode(ids).len()).sum();
    assert_eq!((bytes, decoded), (2648, 2648));
}

#[test]
fn the_challenge_s_byte_table_is_met() {
    let Some(model) = aneal_testing::third_party("golf_fineweb_1024_bpe.model") else { return };
    let Some(pieces) = aneal_testing::third_party("sp1024_pieces.tsv") else { return };
    let tokenizer = Tokenizer::from_file(&model).unwrap();
    let table = ByteTable::new(&tokenizer, 1024).unwrap();
    assert_eq!(table.base_bytes().iter().sum::<u32>(), 2330);
    assert_eq!(table.has_leading_space().iter().filter(|&&space| space).count(), 325);
    assert_eq!(table.is_boundary().iter().filter(|&&boundary| boundary).count(), 4);

    let pieces = std::fs::read_to_string(pieces).unwrap();
    let rows: Vec<Vec<&str>> = pieces.lines().skip(1).map(|l| l.split('\t').collect()).collect();
    assert_eq!(rows.len(), 1024);
    for (id, row) in rows.iter().enumerate() {
        assert_eq!(row[0], id.to_string());
        assert_eq!(tokenizer.piece(id as u32), Some(row[3]));
        let flag = |value: bool| u8::from(value).to_string();
        assert_eq!(table.base_bytes()[id].to_string(), row[4], "id {id}");
        assert_eq!(flag(table.has_leading_space()[id]), row[5], "id {id}");
        assert_eq!(flag(table.is_boundary()[id]), row[6], "id {id}");
    }
}

fn small_model() -> Vec<u8> {
    std::fs::read(aneal_testing::workspace().join("fixtures/tokenizer/spaces.model")).unwrap()
}

#[test]
fn a_model_file_that_was_cut_short_is_refused() {
    let bytes = small_model();
    for length in 0..bytes.len() {
        assert!(Tokenizer::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    Tokenizer::from_bytes(&bytes).unwrap();
}

#[test]
fn a_faulty_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "not a model").unwrap();
    let error = Tokenizer::from_file(file.path()).unwrap_err();
    assert!(matches!(error, Error::TokenizerFile { .. }));
    assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    assert!(matches!(Tokenizer::from_file(Path::new("no/such/file")), Err(Error::Io { .. })));
}

/// Any characters, often those that normalisation treats specially.
fn any_text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range('a', 'f'),
        2 => prop::sample::select(vec![' ', '\t', '\n', '\u{2581}', '\0', '\u{301}', '\u{200D}']),
        1 => prop::char::range('\u{2000}', '\u{20FF}'),
        2 => any::<char>(),
    ];
    prop::collection::vec(character, 0..80).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn decoding_gives_back_the_normalised_text(text in any_text()) {
        let tokenizer = default_tokenizer();
        let ids = tokenizer.encode(&text);
        prop_assert!(ids.iter().all(|&id| (4..1024).contains(&id)));
        prop_assert_eq!(tokenizer.decode(&ids), tokenizer.normalize(&text));
    }

    #[test]
    fn bytes_by_table_are_bytes_of_the_text(text in any_text()) {
        let tokenizer = default_tokenizer();
        let table = ByteTable::new(&tokenizer, 1024).unwrap();
        let mut ids = vec![1];
        tokenizer.encode_append(&text, &mut ids);
        let bytes: u64 = ids.windows(2).map(|pair| table.target_bytes(pair[0], pair[1])).sum();
        prop_assert_eq!(bytes, tokenizer.normalize(&text).len() as u64);
    }

    #[test]
    fn decoding_ids_one_by_one_equals_decoding_all(
        ids in prop::collection::vec(prop_oneof![0..1030u32, 4..260u32], 0..60),
    ) {
        let tokenizer = default_tokenizer();
        prop_assert_eq!(stream_decode(&tokenizer, &ids), tokenizer.decode(&ids));
    }

    #[test]
    fn edited_models_are_refused_or_run(
        edits in prop::collection::vec((0..6016usize, any::<u8>()), 1..8),
        text in any_text(),
    ) {
        let mut bytes = small_model();
        for (position, byte) in edits {
            bytes[position] = byte;
        }
        if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
            tokenizer.decode(&tokenizer.encode(&text));
        }
    }
}
