//! What costs time.

use aneal_ane::clock::{Costs, HostWork, Lane, OpWork, State, Timeline, Work};

use crate::programs::{constraint, filled, function};

/// The devices that a cost is charged on, and the others.
fn devices(number: u8) -> [Vec<(String, Costs)>; 2] {
    let charged = constraint(number).profiles().unwrap();
    let all = Costs::devices().map(|name| (name.to_owned(), Costs::of(name).unwrap()));
    let (with, without) = all.partition(|(name, _)| charged.contains(name));
    [with, without]
}

/// Of a dispatch of that work alone.
fn ms(costs: &Costs, op: OpWork) -> f64 {
    let work = Work { ops: vec![op], ..Work::default() };
    costs.dispatch(&work, &State::default()).engine_ms()
}

fn product(m: u64, k: u64, n: u64) -> OpWork {
    OpWork::MatMul { groups: 1, m, k, n }
}

/// A chain of so many element-wise operations.
fn chain(length: usize) -> aneal_mil::Function {
    function(&[1, 4, 1, 32], |b, mut x| {
        for _ in 0..length {
            x = b.relu(x)?;
        }
        Ok(x)
    })
}

#[test]
fn c053_every_dispatch_has_its_price() {
    let [devices, _] = devices(53);
    for (name, costs) in devices {
        let empty = |queued| costs.dispatch(&Work::default(), &State { queued, clock: 1.0 });
        let (alone, queued) = (empty(false).total_ms(), empty(true).total_ms());
        assert!(queued <= alone && alone > 0.05 && alone <= 0.25, "{name}: {queued} {alone}");
    }
}

#[test]
fn c054_constants_stream_faster_than_inputs() {
    let costs = Costs::of("m5-max").unwrap();
    let bytes = 64 << 20;
    let weight = OpWork::Conv { groups: 1, m: 1, k: 4096, n: 8192, weight_bytes: bytes - 64 };
    let work = Work { input_bytes: bytes, ..Work::default() };
    let input_ms = costs.dispatch(&work, &State::default()).activations_ms;
    let work = Work { ops: vec![weight], ..Work::default() };
    let price = costs.dispatch(&work, &State::default());
    assert!(input_ms > 1.5 * (price.weights_ms + price.product_ms), "{input_ms} {price:?}");
    let [all, _] = devices(54);
    for (name, costs) in all {
        let memory = costs.memory;
        assert!(memory.weights_gb_per_s > memory.activations_gb_per_s, "{name}");
    }
}

#[test]
fn c055_narrow_rows_cost_what_wide_ones_do() {
    let [devices, _] = devices(55);
    for (name, costs) in devices {
        assert_eq!(ms(&costs, product(1, 256, 256)), ms(&costs, product(32, 256, 256)), "{name}");
        assert!(ms(&costs, product(64, 256, 256)) > ms(&costs, product(32, 256, 256)), "{name}");
    }
}

#[test]
fn c056_converting_costs_the_cpu_time() {
    let [devices, _] = devices(56);
    for (name, costs) in devices {
        // Its inputs take longer to convert than the engine takes to multiply them.
        let converting = costs.host(HostWork::Convert(2.0 * 256.0 * 256.0));
        assert!(converting > ms(&costs, product(256, 256, 256)), "{name}: {converting} ms");
    }
}

#[test]
fn c079_compiling_many_operations_for_two_engines() {
    let [with, without] = devices(79);
    assert!(!with.is_empty() && !without.is_empty());
    for (devices, doubled) in [(with, 10.0..16.0), (without, 1.0..2.1)] {
        for (name, costs) in devices {
            let ratio =
                costs.compile_function_ms(&chain(512)) / costs.compile_function_ms(&chain(256));
            assert!(doubled.contains(&ratio), "{name}: twice the operations take {ratio} times");
        }
    }
    crate::programs::noted(79, chain(129), chain(128));
}

#[test]
fn c081_dispatches_follow_one_another() {
    let [devices, _] = devices(81);
    for (name, costs) in devices {
        let work = Work { ops: vec![product(256, 256, 256)], ..Work::default() };
        let price = costs.dispatch(&work, &State::default());
        let mut timeline = Timeline::default();
        timeline.push_dispatch("a", &price, &[]);
        timeline.push_dispatch("b", &price, &[]);
        timeline.push(Lane::Cpu, "beside them", price.total_ms(), &[]);
        assert!((timeline.total_ms() - 2.0 * price.total_ms()).abs() < 1e-9, "{name}");
    }
}

#[test]
fn c082_gaps_slow_the_clock() {
    let [with, without] = devices(82);
    assert!(!with.is_empty() && !without.is_empty());
    for (name, costs) in with {
        assert_eq!(costs.clock_ratio(1.3, 0.1), 1.0, "{name}");
        assert!(costs.clock_ratio(1.3, 0.8) < 0.4, "{name}");
        let work = Work { ops: vec![product(256, 256, 256)], ..Work::default() };
        let at = |clock| costs.dispatch(&work, &State { queued: false, clock }).engine_ms();
        assert!(at(costs.clock_ratio(1.3, 0.8)) > 2.5 * at(1.0), "{name}");
    }
    for (name, costs) in without {
        assert_eq!(costs.clock_ratio(1.3, 5.0), 1.0, "{name}");
    }
}

#[test]
fn c084_long_dispatches_are_answered_late() {
    let [with, without] = devices(84);
    assert!(!with.is_empty() && !without.is_empty());
    for (devices, late) in [(with, true), (without, false)] {
        for (name, costs) in devices {
            let overhead = |k| {
                let work = Work { ops: vec![product(4096, k, 4096)], ..Work::default() };
                costs.dispatch(&work, &State::default()).overhead_ms
            };
            assert_eq!(overhead(8192) > overhead(8), late, "{name}");
        }
    }
}

#[test]
fn c085_activations_move_slowly() {
    let [devices, _] = devices(85);
    for (name, costs) in devices {
        let moved = |input_bytes, output_bytes| {
            let work = Work { input_bytes, output_bytes, ops: Vec::new() };
            costs.dispatch(&work, &State::default()).activations_ms
        };
        let (read, both) = (moved(32 << 20, 0), moved(32 << 20, 32 << 20));
        assert!((both - 2.0 * read).abs() < 1e-9, "{name}: reads and writes share the way");
        let gb_per_s = f64::from(32 << 20) / read / 1e6;
        assert!((gb_per_s - costs.memory.activations_gb_per_s).abs() < 1e-6, "{name}");
        // An operand that is read for each tile of the other one.
        let again =
            ms(&costs, product(2048, 1024, 1024)) - 2.0 * ms(&costs, product(1024, 1024, 1024));
        assert!(again > 0.0, "{name}");
    }
    let m6 = Costs::of("m6").unwrap().memory.activations_gb_per_s;
    assert!((35.0..=40.0).contains(&m6), "{m6}");
}

#[test]
fn c086_passes_of_256_channels() {
    let [devices, _] = devices(86);
    for (name, costs) in devices {
        let channels = |n| ms(&costs, product(256, 256, n));
        // Published: 1.32 times, where 1.06 times the work is to be done.
        assert!(channels(272) / channels(256) > 1.2, "{name}");
        assert!(channels(512) / channels(256) <= 2.0 + 1e-9, "{name}");
    }
    let conv = |outputs: usize| {
        function(&[1, 4, 1, 32], move |b, x| {
            let w = filled(b, &[outputs, 4, 1, 1], 0.5)?;
            b.conv(x, w, aneal_mil::Conv::default())
        })
    };
    crate::programs::noted(86, conv(272), conv(256));
}

#[test]
fn c087_units_wait_for_each_other() {
    let [devices, _] = devices(87);
    for (name, costs) in devices {
        let ops = [product(512, 512, 512), OpWork::Elementwise { elements: 1 << 18, passes: 1 }];
        let apart: f64 = ops.iter().map(|op| ms(&costs, *op)).sum();
        let work = Work { ops: ops.to_vec(), ..Work::default() };
        let together = costs.dispatch(&work, &State::default()).engine_ms();
        assert!((together - apart).abs() < 1e-9, "{name}: {together} and {apart}");
    }
}
