//! What a plan would take: a step's timeline, time and energy. Predicted.

use aneal_ane::clock::{Costs, HostWork, Lane, Power, Price, SpanId, State, Timeline, Usage, Work};

use super::{HostOp, Order, Plan, Step};

/// How a plan is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pricing {
    /// Tokens of the vocabulary that occur in the data: trainers leave the others out of the loss.
    pub occurring: usize,
    /// Micro-batches that share an update; `None` leaves the update out.
    pub micro_batches_per_update: Option<usize>,
}

/// A micro-batch on a device, with its share of an update. Everything here is predicted.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// What runs when.
    pub timeline: Timeline,
    /// One for each of [`Plan::kernels`].
    pub kernels: Vec<PricedKernel>,
    /// The engine's clock, as share of the full one: it follows the engine's load (C82).
    pub clock: f64,
    /// Averaged over the micro-batch.
    pub power: Power,
    /// To compile all programs, one after the other.
    pub compile_ms: f64,
    /// Tokens of the micro-batch.
    pub tokens: usize,
}

/// A program's dispatch.
#[derive(Clone, Debug)]
pub struct PricedKernel {
    /// What it asks of the engine.
    pub work: Work,
    /// How long it takes, by what takes it.
    pub price: Price,
    /// The CPU's time for filling its surfaces and reading them.
    pub surfaces_ms: f64,
    /// The CPU's time for reading the outputs that it reads beside the engine.
    pub beside_ms: f64,
    /// How often a micro-batch dispatches it.
    pub dispatches: usize,
}

impl Prediction {
    /// Milliseconds for 256 tokens, the unit of published steps.
    #[must_use]
    pub fn ms_per_256_tokens(&self) -> f64 {
        self.timeline.total_ms() * 256.0 / self.tokens as f64
    }

    /// Tokens a second.
    #[must_use]
    pub fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.timeline.total_ms() * 1e3
    }

    /// Tokens a joule of engine and CPU.
    #[must_use]
    pub fn tokens_per_joule(&self) -> f64 {
        self.tokens_per_s() / self.power.total_w()
    }

    /// Arithmetic operations of the engine in a micro-batch.
    #[must_use]
    pub fn flops(&self) -> f64 {
        self.kernels.iter().map(|kernel| kernel.dispatches as f64 * kernel.work.flops()).sum()
    }
}

impl Plan {
    /// A micro-batch on a device: before each dispatch its activations are converted into surfaces,
    /// behind it its outputs are converted back, and the CPU's other work is in between; what programs
    /// pass to each other costs the CPU nothing. Beside it outputs are read that nothing waits for, and
    /// gradients of weights are computed.
    #[must_use]
    pub fn price(&self, costs: &Costs, pricing: &Pricing) -> Prediction {
        let work: Vec<Work> = self.kernels.iter().map(super::KernelSpec::work).collect();
        let price = |clock| {
            let state = State { queued: false, clock };
            let prices: Vec<_> = work.iter().map(|work| costs.dispatch(work, &state)).collect();
            (self.timeline(costs, pricing, &prices), prices)
        };
        let (full, prices) = price(1.0);
        let engine_ms: f64 = prices
            .iter()
            .enumerate()
            .map(|(i, p)| self.dispatches_of(i) as f64 * p.engine_ms())
            .sum();
        let clock = costs.clock_ratio(engine_ms, full.total_ms() - engine_ms);
        let (timeline, prices) = if clock < 1.0 { price(clock) } else { (full, prices) };

        let convert = |elements: usize| costs.host(HostWork::Convert(elements as f64));
        let kernels: Vec<PricedKernel> = (self.kernels.iter().zip(work).zip(prices).enumerate())
            .map(|(place, ((kernel, work), price))| PricedKernel {
                work,
                price,
                surfaces_ms: convert(kernel.written()) + convert(kernel.read()),
                beside_ms: convert(kernel.read_beside()),
                dispatches: self.dispatches_of(place),
            })
            .collect();
        let total = |of: fn(&Work) -> f64| -> f64 {
            kernels.iter().map(|kernel| kernel.dispatches as f64 * of(&kernel.work)).sum()
        };
        let usage = Usage::of(&timeline, total(Work::flops), total(Work::streamed_bytes));
        let compile_ms =
            self.kernels.iter().map(|kernel| costs.compile_function_ms(&kernel.function)).sum();
        Prediction {
            power: costs.power(&Usage { clock, ..usage }),
            timeline,
            kernels,
            clock,
            compile_ms,
            tokens: self.tokens(),
        }
    }

    fn timeline(&self, costs: &Costs, pricing: &Pricing, prices: &[Price]) -> Timeline {
        let mut line =
            Line { plan: self, costs, pricing, timeline: Timeline::default(), last: [None; 2] };
        for section in &self.sections {
            if section.order == Order::Update {
                line.update(&section.steps);
                continue;
            }
            for _ in 0..self.times(section.order) {
                for step in &section.steps {
                    line.step(*step, prices);
                }
            }
        }
        line.timeline
    }
}

/// A timeline being filled.
struct Line<'a> {
    plan: &'a Plan,
    costs: &'a Costs,
    pricing: &'a Pricing,
    timeline: Timeline,
    /// The last piece of the thread that feeds the engine, and of the one beside it.
    last: [Option<SpanId>; 2],
}

impl Line<'_> {
    fn step(&mut self, step: Step, prices: &[Price]) {
        match step {
            Step::Dispatch(place) => {
                let kernel = &self.plan.kernels[place];
                self.convert(kernel.written());
                let after: Vec<_> = self.last[0].into_iter().collect();
                let span = self.timeline.push_dispatch(kernel.name, &prices[place], &after);
                self.last[0] = Some(span);
                self.convert(kernel.read());
                if kernel.read_beside() > 0 {
                    let ms = self.costs.host(HostWork::Convert(kernel.read_beside() as f64));
                    self.push(Lane::Worker, "surfaces", ms);
                }
            }
            Step::Host(op) => self.push(Lane::Cpu, op.label(), self.ms(op)),
            Step::Worker(op) => self.push(Lane::Worker, op.label(), self.ms(op)),
        }
    }

    /// A micro-batch's share of the update, which waits for the gradients of weights.
    fn update(&mut self, steps: &[Step]) {
        let Some(sharing) = self.pricing.micro_batches_per_update else { return };
        for step in steps {
            if let Step::Host(op) | Step::Worker(op) = *step {
                let ms = self.ms(op) / sharing.max(1) as f64;
                let after: Vec<_> = self.last.into_iter().flatten().collect();
                self.last[0] = Some(self.timeline.push(Lane::Cpu, op.label(), ms, &after));
            }
        }
    }

    fn ms(&self, op: HostOp) -> f64 {
        let Plan { model, .. } = self.plan;
        self.costs.host(op.work(model, self.plan.tokens(), self.pricing.occurring))
    }

    fn convert(&mut self, elements: usize) {
        let ms = self.costs.host(HostWork::Convert(elements as f64));
        self.push(Lane::Cpu, "surfaces", ms);
    }

    /// Both threads wait for the feeding one only.
    fn push(&mut self, lane: Lane, label: &str, ms: f64) {
        let after: Vec<_> = self.last[0].into_iter().collect();
        let span = self.timeline.push(lane, label, ms, &after);
        self.last[usize::from(lane == Lane::Worker)] = Some(span);
    }
}
