//! What the plugins of each world export: settings, and the interface of the world.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::exports::groundcrew::plugin::{decide, deliver, settings};
use crate::instance_state::InstanceState;
use crate::world::World;

/// The interface that the plugins of a world export.
pub(crate) trait WorldExport: Sized + Send + 'static {
    /// The world.
    const WORLD: World;
    /// The positions of the interface's functions in a component.
    type Indices: Send + Sync;

    /// Finds the functions.
    fn find(pre: &InstancePre<InstanceState>) -> wasmtime::Result<Self::Indices>;

    /// The functions of one instance. Fails if their types are not the contract's.
    fn load(
        indices: &Self::Indices,
        store: &mut Store<InstanceState>,
        instance: &Instance,
    ) -> wasmtime::Result<Self>;
}

impl WorldExport for decide::Guest {
    const WORLD: World = World::Policy;
    type Indices = decide::GuestIndices;

    fn find(pre: &InstancePre<InstanceState>) -> wasmtime::Result<Self::Indices> {
        Self::Indices::new(pre)
    }

    fn load(
        indices: &Self::Indices,
        store: &mut Store<InstanceState>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}

impl WorldExport for deliver::Guest {
    const WORLD: World = World::Notifier;
    type Indices = deliver::GuestIndices;

    fn find(pre: &InstancePre<InstanceState>) -> wasmtime::Result<Self::Indices> {
        Self::Indices::new(pre)
    }

    fn load(
        indices: &Self::Indices,
        store: &mut Store<InstanceState>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}

/// A component, ready to be instantiated.
pub(crate) struct PreInstance<T: WorldExport> {
    pub(crate) instance: InstancePre<InstanceState>,
    settings: settings::GuestIndices,
    interface: T::Indices,
}

/// The exports of one instance.
pub(crate) struct Exports<T> {
    pub(crate) settings: settings::Guest,
    pub(crate) interface: T,
}

impl<T: WorldExport> PreInstance<T> {
    pub(crate) fn new(instance: InstancePre<InstanceState>) -> wasmtime::Result<Self> {
        let settings = settings::GuestIndices::new(&instance)?;
        let interface = T::find(&instance)?;
        Ok(Self { instance, settings, interface })
    }

    /// The exports of an instance. Fails if their types are not the contract's.
    pub(crate) fn exports(
        &self,
        store: &mut Store<InstanceState>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports<T>> {
        Ok(Exports {
            settings: self.settings.load(&mut *store, instance)?,
            interface: T::load(&self.interface, store, instance)?,
        })
    }
}
