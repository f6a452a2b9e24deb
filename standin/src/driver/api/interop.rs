//! Memory that other processes and other graphics libraries share, and virtual addresses. GStreamer looks these functions up,
//! but doesn't call them on a device that doesn't have these features.

use super::unsupported;

unsupported! {
    cuIpcGetMemHandle cuIpcOpenMemHandle cuIpcCloseMemHandle cuIpcGetEventHandle cuIpcOpenEventHandle
    cuMemAddressReserve cuMemAddressFree cuMemCreate cuMemRelease cuMemMap cuMemUnmap cuMemSetAccess cuMemGetAccess
    cuMemExportToShareableHandle cuMemImportFromShareableHandle cuMemGetAllocationGranularity
    cuMemGetAllocationPropertiesFromHandle cuMemRetainAllocationHandle
    cuImportExternalMemory cuDestroyExternalMemory cuExternalMemoryGetMappedBuffer
    cuExternalMemoryGetMappedMipmappedArray cuImportExternalSemaphore cuDestroyExternalSemaphore
    cuSignalExternalSemaphoresAsync cuWaitExternalSemaphoresAsync
}
