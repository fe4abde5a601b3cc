//! Surfaces of the emulator: plain memory, with the locks that hardware has.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::Result;
use crate::engine::{Failure, Memory, Stage};

/// Words, so that elements of any type are aligned.
type Words = Vec<u64>;

/// Memory of an emulated surface.
#[derive(Debug)]
pub(crate) struct HostMemory {
    words: RwLock<Words>,
    bytes: usize,
}

/// Bytes that a device can address at once (1.15).
pub(super) const DEVICE_WINDOW: usize = 4 << 30;

impl HostMemory {
    /// All zeros.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        if bytes == 0 || bytes > DEVICE_WINDOW {
            let failure =
                Failure::runtime(Stage::Surface, Failure::SURFACE_MAP, "IOSurfaceCreate failed");
            let found = format!("a surface of {bytes} bytes");
            return Err(failure
                .because("1.15", found, format!("1 to {DEVICE_WINDOW} are possible"))
                .into());
        }
        Ok(Self { words: RwLock::new(vec![0; bytes.div_ceil(8)]), bytes })
    }

    /// For the engine's own access, which waits for nobody: a client that holds a lock while the
    /// engine runs has broken the rules (2.3), and gets an answer instead of a deadlock.
    pub(crate) fn try_read(&self) -> Option<Read<'_>> {
        let guard = match self.words.try_read() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Read(guard, self.bytes))
    }

    /// As [`HostMemory::try_read`], to write.
    pub(crate) fn try_write(&self) -> Option<Write<'_>> {
        let guard = match self.words.try_write() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Write(guard, self.bytes))
    }
}

impl Memory for HostMemory {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn lock(&self) -> Result<Box<dyn Deref<Target = [u8]> + '_>> {
        // A panic while writing leaves bytes that are as good as any.
        let guard = self.words.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Box::new(Read(guard, self.bytes)))
    }

    fn lock_mut(&self) -> Result<Box<dyn DerefMut<Target = [u8]> + '_>> {
        let guard = self.words.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Box::new(Write(guard, self.bytes)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Locked for reading.
pub(crate) struct Read<'a>(RwLockReadGuard<'a, Words>, usize);

/// Locked for writing.
pub(crate) struct Write<'a>(RwLockWriteGuard<'a, Words>, usize);

impl Deref for Read<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.0)[..self.1]
    }
}

impl Deref for Write<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.0)[..self.1]
    }
}

impl DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.0)[..self.1]
    }
}
