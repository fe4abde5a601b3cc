//! Memory that the CPU and the engine share, and the discipline of its locks: the CPU touches it only
//! between lock and unlock, and the engine only while nobody has it locked (section 2.3).

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use half::f16;

use super::RowLayout;
use crate::{Error, Result};

/// What a surface is made of: `IOSurface` on hardware, plain memory in the emulator.
pub trait Memory: Send + Sync + fmt::Debug {
    /// Bytes that it has.
    fn bytes(&self) -> usize;

    /// Locks it for reading.
    ///
    /// # Errors
    ///
    /// A [`Failure`](super::Failure) where the system refuses the lock.
    fn lock(&self) -> Result<Box<dyn Deref<Target = [u8]> + '_>>;

    /// Locks it for writing.
    ///
    /// # Errors
    ///
    /// As [`Memory::lock`].
    fn lock_mut(&self) -> Result<Box<dyn DerefMut<Target = [u8]> + '_>>;

    /// For the engine that made it, to find its own again.
    fn as_any(&self) -> &dyn Any;
}

/// Shared memory. A clone is the same memory.
#[derive(Clone, Debug)]
pub struct Surface(Arc<dyn Memory>);

/// A surface locked for reading.
pub struct ReadGuard<'a>(Box<dyn Deref<Target = [u8]> + 'a>);

/// A surface locked for writing.
pub struct WriteGuard<'a>(Box<dyn DerefMut<Target = [u8]> + 'a>);

impl Surface {
    /// A surface of that memory.
    pub fn new(memory: impl Memory + 'static) -> Self {
        Self(Arc::new(memory))
    }

    /// Bytes that it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The memory, for the engine that made it.
    #[must_use]
    pub fn memory(&self) -> &dyn Memory {
        &*self.0
    }

    /// Whether both are the same memory.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Locks it for reading; unlocked when the guard is dropped.
    ///
    /// # Errors
    ///
    /// As [`Memory::lock`].
    pub fn read(&self) -> Result<ReadGuard<'_>> {
        Ok(ReadGuard(self.0.lock()?))
    }

    /// Locks it for writing; unlocked when the guard is dropped.
    ///
    /// # Errors
    ///
    /// As [`Memory::lock`].
    pub fn write(&self) -> Result<WriteGuard<'_>> {
        Ok(WriteGuard(self.0.lock_mut()?))
    }

    /// Writes the elements of a tensor of fp16, row-major, where its layout wants them.
    ///
    /// # Errors
    ///
    /// [`Error::Surface`] for a surface that is too small or another number of elements, and as
    /// [`Memory::lock`].
    pub fn write_halves(&self, layout: &RowLayout, values: &[f16]) -> Result<()> {
        let mut guard = self.write()?;
        let rows = rows(guard.len(), layout, values.len())?;
        let source = values.chunks_exact(layout.ty.shape.width());
        for (row, values) in guard.chunks_exact_mut(layout.row_bytes).take(rows).zip(source) {
            row[..layout.used_bytes].copy_from_slice(bytemuck::cast_slice(values));
        }
        Ok(())
    }

    /// Reads the elements of a tensor of fp16, row-major.
    ///
    /// # Errors
    ///
    /// As [`Surface::write_halves`].
    pub fn read_halves(&self, layout: &RowLayout, values: &mut [f16]) -> Result<()> {
        let guard = self.read()?;
        let rows = rows(guard.len(), layout, values.len())?;
        let target = values.chunks_exact_mut(layout.ty.shape.width());
        for (row, values) in guard.chunks_exact(layout.row_bytes).take(rows).zip(target) {
            bytemuck::cast_slice_mut(values).copy_from_slice(&row[..layout.used_bytes]);
        }
        Ok(())
    }
}

/// The rows of a layout, if a surface of `bytes` holds them and `values` fill them.
fn rows(bytes: usize, layout: &RowLayout, values: usize) -> Result<usize> {
    let refuse = |reason| Err(Error::Surface { layout: layout.ty.to_string(), reason });
    if layout.ty.dtype != aneal_mil::DType::Fp16 {
        return refuse("its elements are no fp16; read or write its bytes".to_owned());
    }
    if bytes < layout.bytes() {
        return refuse(format!("it takes {} bytes, the surface has {bytes}", layout.bytes()));
    }
    let elements = layout.ty.shape.elements();
    if values != elements {
        return refuse(format!("it has {elements} elements, {values} are given"));
    }
    Ok(layout.rows)
}

impl Deref for ReadGuard<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for WriteGuard<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for WriteGuard<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
