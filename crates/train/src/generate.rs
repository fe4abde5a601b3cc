//! Text from a model: prompt in, text out as it comes.

use aneal_golf::tokenizer::{StreamDecoder, Tokenizer};
use aneal_model::cpu::Decoder;
use aneal_model::{ModelConfig, Params, Sampling};

use crate::Result;

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Text to continue; a document starts before it.
    pub prompt: &'a str,
    /// Tokens at most.
    pub max_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Decides the draws.
    pub seed: u64,
}

/// Generates until `max_tokens` or until the model ends the document, giving the continuation (not
/// the prompt) to `text` piece by piece. Returns the number of tokens generated.
///
/// # Errors
/// Sampling settings that cannot be, a tokenizer with ids that the model does not have.
pub fn generate(
    config: &ModelConfig,
    params: &Params,
    tokenizer: &Tokenizer,
    request: &Request<'_>,
    text: &mut dyn FnMut(&str),
) -> Result<usize> {
    request.sampling.validate()?;
    let mut decoder = Decoder::new(config, params)?;
    let mut prompt: Vec<u32> = tokenizer.bos_id().into_iter().collect();
    tokenizer.encode_append(request.prompt, &mut prompt);
    let Some((&last, before)) = prompt.split_last() else { return Ok(0) };
    for &id in before {
        decoder.push(id)?;
    }
    // Piece boundaries decide about spaces, so the prompt goes through the decoder too.
    let mut pieces = StreamDecoder::new(tokenizer);
    for &id in &prompt {
        pieces.push(id);
    }
    let mut id = last;
    for generated in 0..request.max_tokens {
        let logits = decoder.push(id)?;
        id = request.sampling.draw(logits, request.seed, generated as u64);
        if Some(id) == tokenizer.bos_id() || Some(id) == tokenizer.eos_id() {
            text(&pieces.finish());
            return Ok(generated);
        }
        text(&pieces.push(id));
    }
    text(&pieces.finish());
    Ok(request.max_tokens)
}
