// A vCenter or ESXi host with the VMs that stdin describes, on loopback without TLS: govmomi's simulator. What
// it lacks is added by the proxy in front of it (vsphere-peer.ts). Ends when stdin ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

type disk struct {
	// Datastore paths, the newest state first.
	Chain    []string
	SeSparse bool
	// Sharing mode, or the compatibility mode of a raw device mapping.
	Sharing   string
	Rdm       string
	Encrypted bool
	// Bytes, and the mode: `independent_persistent`.
	Capacity int64
	Mode     string
}

type machine struct {
	Name     string
	Firmware string
	Power    string
	// A reason for which a VM cannot be read: `disconnected`.
	Connection string
	Disks      []disk
}

type inventory struct {
	User     string
	Password string
	Esx      bool
	Vms      []machine
}

type shownVm struct {
	Name         string `json:"name"`
	Moref        string `json:"moref"`
	InstanceUuid string `json:"instanceUuid"`
}

func main() {
	decoder := json.NewDecoder(os.Stdin)
	var wanted inventory
	if err := decoder.Decode(&wanted); err != nil {
		log.Fatal(err)
	}
	model := simulator.VPX()
	if wanted.Esx {
		model = simulator.ESX()
	} else {
		model.Cluster, model.Folder = 0, 1
	}
	model.Autostart, model.Datastore, model.Machine = false, 2, len(wanted.Vms)
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(wanted.User, wanted.Password)}
	datastores := map[string]string{}
	for _, entity := range model.Map().All("Datastore") {
		store := entity.(*simulator.Datastore)
		datastores[store.Name] = store.Summary.Url
	}
	machines := model.Map().All("VirtualMachine")
	sort.Slice(machines, func(a, b int) bool {
		return machines[a].Reference().Value < machines[b].Reference().Value
	})
	shown := []shownVm{}
	for index, entity := range machines {
		vm := entity.(*simulator.VirtualMachine)
		become(vm, wanted.Vms[index])
		shown = append(shown, shownVm{vm.Name, vm.Self.Value, vm.Config.InstanceUuid})
	}
	server := model.Service.NewServer()
	defer server.Close()
	ready := map[string]any{"port": server.URL.Port(), "datastores": datastores, "vms": shown}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		log.Fatal(err)
	}
	serve(decoder, model)
}

// serve changes VMs as further lines of stdin ask for, until stdin ends.
func serve(decoder *json.Decoder, model *simulator.Model) {
	for {
		var wanted machine
		if err := decoder.Decode(&wanted); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		for _, entity := range model.Map().All("VirtualMachine") {
			vm := entity.(*simulator.VirtualMachine)
			if vm.Name != wanted.Name {
				continue
			}
			ctx := &simulator.Context{Context: context.Background(), Map: model.Map()}
			ctx.WithLock(vm, func() { become(vm, wanted) })
		}
		fmt.Println("{}")
	}
}

func become(vm *simulator.VirtualMachine, wanted machine) {
	vm.Name, vm.Config.Name, vm.Summary.Config.Name = wanted.Name, wanted.Name, wanted.Name
	vm.Config.ChangeVersion += "." + wanted.Power
	if wanted.Firmware != "" {
		vm.Config.Firmware = wanted.Firmware
	}
	if wanted.Power != "" {
		vm.Runtime.PowerState = types.VirtualMachinePowerState(wanted.Power)
	}
	if wanted.Connection != "" {
		vm.Runtime.ConnectionState = types.VirtualMachineConnectionState(wanted.Connection)
	}
	if len(wanted.Disks) == 0 {
		return
	}
	var others []types.BaseVirtualDevice
	var controller int32
	for _, device := range vm.Config.Hardware.Device {
		if old, ok := device.(*types.VirtualDisk); ok {
			controller = old.ControllerKey
			continue
		}
		others = append(others, device)
	}
	for index, one := range wanted.Disks {
		unit := int32(index)
		others = append(others, &types.VirtualDisk{
			CapacityInBytes: one.Capacity,
			VirtualDevice: types.VirtualDevice{
				Key:           2000 + unit,
				Backing:       backing(one),
				ControllerKey: controller,
				UnitNumber:    &unit,
				DeviceInfo:    &types.Description{Label: fmt.Sprintf("Hard disk %d", index+1)},
			},
		})
	}
	vm.Config.Hardware.Device = others
}

func backing(wanted disk) types.BaseVirtualDeviceBackingInfo {
	if wanted.Rdm != "" {
		return &types.VirtualDiskRawDiskMappingVer1BackingInfo{
			VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: wanted.Chain[0]},
			CompatibilityMode:            wanted.Rdm,
		}
	}
	file := func(name string) types.VirtualDeviceFileBackingInfo {
		return types.VirtualDeviceFileBackingInfo{FileName: name}
	}
	last := len(wanted.Chain) - 1
	base := &types.VirtualDiskFlatVer2BackingInfo{
		VirtualDeviceFileBackingInfo: file(wanted.Chain[last]),
		DiskMode:                     mode(wanted),
		Sharing:                      wanted.Sharing,
	}
	if wanted.Encrypted {
		base.KeyId = &types.CryptoKeyId{KeyId: "key"}
	}
	if wanted.SeSparse {
		var parent *types.VirtualDiskSeSparseBackingInfo
		for index := last; index >= 0; index-- {
			parent = &types.VirtualDiskSeSparseBackingInfo{
				VirtualDeviceFileBackingInfo: file(wanted.Chain[index]),
				DiskMode:                     string(types.VirtualDiskModePersistent),
				Parent:                       parent,
			}
		}
		return parent
	}
	for index := last - 1; index >= 0; index-- {
		base = &types.VirtualDiskFlatVer2BackingInfo{
			VirtualDeviceFileBackingInfo: file(wanted.Chain[index]),
			DiskMode:                     string(types.VirtualDiskModePersistent),
			Parent:                       base,
		}
	}
	return base
}

func mode(wanted disk) string {
	if wanted.Mode != "" {
		return wanted.Mode
	}
	return string(types.VirtualDiskModePersistent)
}
