//! Which plan is best on a device: every plan that its rules allow, at every number of sequences that
//! divides an update, priced.

use aneal_ane::clock::Costs;

use super::{Plan, Prediction, Pricing, Target, ten_kernel};
use crate::{Error, Result};

/// What plans are compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Tokens that share an update; micro-batches cut it evenly.
    pub tokens_per_update: usize,
    /// As in [`Pricing`].
    pub occurring: usize,
    /// Sequences of a micro-batch, where that is decided already.
    pub sequences: Option<usize>,
    /// Surfaces of a plan may take so much, see [`Plan::surface_bytes`].
    pub most_surface_bytes: usize,
}

impl Search {
    /// A bound on surfaces that leaves most of the 8 GB of the smallest machine to others.
    pub const SURFACE_BYTES: usize = 2 << 30;
}

/// A plan that was looked at.
#[derive(Debug)]
pub struct Candidate {
    /// One of [`Plan::NAMES`].
    pub name: &'static str,
    /// Sequences of a micro-batch.
    pub sequences: usize,
    /// The plan with its price, or why there is none.
    pub outcome: Result<Choice>,
}

/// A plan with its price.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The plan.
    pub plan: Plan,
    /// How it would be used.
    pub pricing: Pricing,
    /// What it would take, predicted.
    pub prediction: Prediction,
}

impl Plan {
    /// Every plan at every number of sequences that divides the update, ascending; of each plan up to
    /// the first number that it or its device cannot do. `target.sequences` is not looked at.
    #[must_use]
    pub fn candidates(target: &Target<'_>, costs: &Costs, search: &Search) -> Vec<Candidate> {
        let update = (search.tokens_per_update / target.seq_len.max(1)).max(1);
        let sizes: Vec<usize> = match search.sequences {
            Some(sequences) => vec![sequences],
            None => (1..=update).filter(|size| update.is_multiple_of(*size)).collect(),
        };
        let mut candidates = Vec::new();
        for name in Self::NAMES {
            for &sequences in &sizes {
                // It takes one; nothing is learnt from asking for more, unless the caller did.
                if name == ten_kernel::NAME && sequences > 1 && search.sequences.is_none() {
                    break;
                }
                let target = Target { sequences, ..*target };
                let outcome = choice(name, &target, costs, search);
                let refused = outcome.is_err();
                candidates.push(Candidate { name, sequences, outcome });
                if refused {
                    break;
                }
            }
        }
        candidates
    }

    /// The candidate that is predicted to take the least time a token.
    ///
    /// # Errors
    /// [`Error::Plan`] with what was said against each, where there is none.
    pub fn best(target: &Target<'_>, costs: &Costs, search: &Search) -> Result<Choice> {
        let candidates = Self::candidates(target, costs, search);
        let mut reasons = Vec::new();
        let mut best: Option<Choice> = None;
        for candidate in candidates {
            match candidate.outcome {
                Ok(choice) => {
                    let ms = |choice: &Choice| choice.prediction.ms_per_256_tokens();
                    if best.as_ref().is_none_or(|best| ms(&choice) < ms(best)) {
                        best = Some(choice);
                    }
                }
                Err(reason) => reasons.push(reason.to_string()),
            }
        }
        best.ok_or_else(|| Error::Plan { plan: "auto".to_owned(), reason: reasons.join("; ") })
    }
}

fn choice(name: &str, target: &Target<'_>, costs: &Costs, search: &Search) -> Result<Choice> {
    let plan = Plan::named(name, target)?;
    let (found, limit) = (plan.surface_bytes(), search.most_surface_bytes);
    if found > limit {
        let reason = format!(
            "{} sequences a micro-batch take {} MiB of surfaces, the limit is {}; take fewer",
            target.sequences,
            found >> 20,
            limit >> 20
        );
        return Err(Error::Plan { plan: name.to_owned(), reason });
    }
    let micro_batches = search.tokens_per_update.div_ceil(plan.tokens());
    let pricing =
        Pricing { occurring: search.occurring, micro_batches_per_update: Some(micro_batches) };
    let prediction = plan.price(costs, &pricing);
    Ok(Choice { plan, pricing, prediction })
}
