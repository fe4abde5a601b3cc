//! A program of the plan on the engine, with the surfaces that it reads and writes.
//!
//! A surface that holds weights exists once a layer, so that weights are written once an update and
//! not before every dispatch; all others are shared by the layers.

use std::sync::Arc;

use aneal_ane::engine::{Binding, Engine, Kernel, Procedure, Request, Source, Surface, Symbol};
use aneal_mil::Dialect;
use half::f16;
use rayon::prelude::*;

use super::convert::{self, Place};
use crate::ane::{self, Content, KernelSpec, Plan, WeightRef};
use crate::{Error, Params, Result};

/// One of [`Plan::kernels`](crate::ane::Plan::kernels), compiled and loaded.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    kernel: Arc<dyn Kernel>,
    /// One a layer, or one for all.
    requests: Vec<Request>,
}

/// An input or output.
pub(super) struct Port {
    /// One a layer, or one for all.
    surfaces: Vec<Surface>,
    /// What lies where.
    pub(super) blocks: Vec<(Place, Content)>,
}

impl Program {
    /// Compiles a program of a plan and makes its surfaces.
    pub(super) fn new(plan: &Plan, spec: &KernelSpec, engine: &dyn Engine) -> Result<Self> {
        let layers = plan.model.layers;
        let misfit = |found: String| Error::Plan {
            plan: plan.name.to_owned(),
            reason: format!("the engine compiled program {} to something else: {found}", spec.name),
        };
        let fail = |action: &str, source| Error::Engine {
            action: format!("{action} program {}", spec.name),
            engine: engine.describe(),
            source: Box::new(source),
        };
        let (program, tables) = spec.program()?;
        let source = Source::new(&program, Dialect::Modern, &tables);
        let kernel = engine.compile(&source).map_err(|error| fail("compile", error))?;
        let of_layers = spec.inputs.iter().any(|input| input.weights().next().is_some());
        let [procedure] = kernel.procedures() else {
            return Err(misfit(format!("it has {} procedures", kernel.procedures().len())));
        };
        let ports = |surfaces: &[ane::Surface], symbols: &[Symbol]| {
            let port = |surface: &ane::Surface| {
                let symbol = find(symbols, surface).map_err(misfit)?;
                let copies = if surface.weights().next().is_some() { layers } else { 1 };
                let surfaces = (0..copies).map(|_| engine.surface(symbol.layout.bytes()));
                let surfaces: aneal_ane::Result<_> = surfaces.collect();
                let surfaces = surfaces.map_err(|error| fail("provide surfaces for", error))?;
                let stride = symbol.layout.row_bytes / size_of::<f16>();
                let place = |block: &ane::Block| Place {
                    start: block.rows.start * stride + block.columns.start,
                    stride,
                    rows: block.rows.len(),
                    columns: block.columns.len(),
                };
                let blocks = surface.blocks.iter().map(|block| (place(block), block.content));
                Ok(Port { surfaces, blocks: blocks.collect() })
            };
            surfaces.iter().map(port).collect::<Result<Vec<Port>>>()
        };
        let inputs = ports(&spec.inputs, &procedure.inputs)?;
        let outputs = ports(&spec.outputs, &procedure.outputs)?;
        let requests = (0..if of_layers { layers } else { 1 })
            .map(|layer| request(spec, procedure, layer, &inputs, &outputs))
            .collect::<Result<_, String>>()
            .map_err(misfit)?;
        Ok(Self { name: spec.name, inputs, outputs, kernel, requests })
    }

    /// Runs it on the surfaces of a layer.
    pub(super) fn evaluate(&self, layer: usize, engine: &dyn Engine) -> Result<()> {
        let request = of_layer(&self.requests, layer);
        self.kernel.evaluate(request).map_err(|error| self.failed("run", layer, engine, error))
    }

    /// Writes the weights of all layers; how many of them fp16 cannot hold.
    pub(super) fn stage(&self, params: &Params, engine: &dyn Engine) -> Result<u64> {
        let weighty = self.inputs.iter().filter(|port| port.weights().next().is_some());
        let surfaces: Vec<_> =
            weighty.flat_map(|port| port.surfaces.iter().map(move |s| (port, s))).collect();
        let layers = self.requests.len();
        let beyond = surfaces.par_iter().enumerate().map(|(at, (port, surface))| {
            let layer = at % layers;
            let failed = |error| self.failed("write weights of", layer, engine, error);
            let mut bytes = surface.write().map_err(failed)?;
            port.stage(halves_mut(&mut bytes).map_err(failed)?, layer, params)
        });
        Ok(beyond.collect::<Result<Vec<u64>>>()?.iter().sum())
    }

    /// What is told when something that was to be done with it failed.
    pub(super) fn failed(
        &self,
        action: &str,
        layer: usize,
        engine: &dyn Engine,
        error: aneal_ane::Error,
    ) -> Error {
        Error::Engine {
            action: format!("{action} program {} of layer {layer}", self.name),
            engine: engine.describe(),
            source: Box::new(error),
        }
    }
}

impl Port {
    /// The surface that a layer uses.
    pub(super) fn surface(&self, layer: usize) -> &Surface {
        of_layer(&self.surfaces, layer)
    }

    fn weights(&self) -> impl Iterator<Item = (Place, WeightRef)> {
        self.blocks.iter().filter_map(|(place, content)| match content {
            Content::Weight(weight) => Some((*place, *weight)),
            Content::Activation(_) | Content::Gradient(_) => None,
        })
    }

    /// Writes a layer's weights into its surface; how many of them fp16 cannot hold.
    fn stage(&self, surface: &mut [f16], layer: usize, params: &Params) -> Result<u64> {
        let mut beyond = 0;
        for (place, weight) in self.weights() {
            let name = weight.tensor(layer);
            let tensor = params.layout().find(&name).filter(|tensor| {
                let (rows, columns) = (place.rows, place.columns);
                let shape = if weight.transposed { [columns, rows] } else { [rows, columns] };
                tensor.shape == shape
            });
            let Some(tensor) = tensor else {
                let reason = format!("they have no {name} of the size that the plan stages");
                return Err(Error::Weights(reason));
            };
            let values = params.slice(&tensor.slot);
            beyond += match weight.transposed {
                true => convert::write_turned(surface, place, values),
                false => convert::write(surface, place, values),
            };
        }
        Ok(beyond)
    }
}

fn of_layer<T>(items: &[T], layer: usize) -> &T {
    &items[if items.len() == 1 { 0 } else { layer }]
}

/// The symbol that a surface of the plan is for; what was looked for if there is none.
fn find<'a>(symbols: &'a [Symbol], surface: &ane::Surface) -> Result<&'a Symbol, String> {
    let symbol = symbols.iter().find(|symbol| symbol.name == surface.name);
    let fits = |symbol: &&Symbol| {
        symbol.layout.rows == surface.rows
            && symbol.layout.used_bytes == surface.columns * size_of::<f16>()
    };
    symbol.filter(fits).ok_or_else(|| {
        let ane::Surface { name, rows, columns, .. } = surface;
        format!("it has no `{name}` of {rows} rows of {columns}")
    })
}

/// A layer's run: symbols are bound by their names (C24).
fn request(
    spec: &KernelSpec,
    procedure: &Procedure,
    layer: usize,
    inputs: &[Port],
    outputs: &[Port],
) -> Result<Request, String> {
    let bind = |symbols: &[Symbol], surfaces: &[ane::Surface], ports: &[Port]| {
        let pairs = surfaces.iter().zip(ports);
        let bound = pairs.map(|(surface, port)| {
            let symbol = find(symbols, surface)?.index;
            Ok(Binding { symbol, surface: port.surface(layer).clone() })
        });
        bound.collect::<Result<Vec<_>, String>>()
    };
    let mut request = Request::new(procedure, &[], &[]);
    request.inputs = bind(&procedure.inputs, &spec.inputs, inputs)?;
    request.outputs = bind(&procedure.outputs, &spec.outputs, outputs)?;
    Ok(request)
}

/// The halves of a locked surface.
pub(super) fn halves(bytes: &[u8]) -> aneal_ane::Result<&[f16]> {
    bytemuck::try_cast_slice(bytes).map_err(|error| odd(bytes.len(), error))
}

/// As [`halves`], to write.
pub(super) fn halves_mut(bytes: &mut [u8]) -> aneal_ane::Result<&mut [f16]> {
    let len = bytes.len();
    bytemuck::try_cast_slice_mut(bytes).map_err(|error| odd(len, error))
}

fn odd(bytes: usize, error: bytemuck::PodCastError) -> aneal_ane::Error {
    let reason = format!("{bytes} bytes of memory do not hold fp16 elements: {error}");
    aneal_ane::Error::Surface { layout: "fp16".to_owned(), reason }
}
